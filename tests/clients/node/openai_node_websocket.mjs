// openai-node, over WebSockets and their lanes.

import { once } from 'node:events'

import OpenAI from 'openai'
import { ResponsesWebSocketSession } from 'openai/lib/responses/responses-websocket-session'
import { ResponsesWS } from 'openai/resources/responses/ws'

import { answered, ANSWER, outputs, pending, QUESTION, SUM, thrown, usage, WEATHER } from './common.mjs'

const BOUNDS = { maxLanes: 20, maxBufferedEvents: 1000, maxBufferedBytes: 1 << 20 }

export function lanes(url) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })
  let socket, session
  let made = 0

  /** Returns a new lane of the connection. */
  async function lane() {
    if (!socket) {
      socket = await connected()
      session = new ResponsesWebSocketSession(socket, BOUNDS)
    }
    return session.lane(`lane-${++made}`)
  }

  async function connected() {
    const opened = new ResponsesWS(client)
    opened.on('error', () => {}) // a lane rejects as well
    await once(opened.socket, 'open')
    return opened
  }

  async function create(model, input, options, on) {
    on ??= await lane()
    on.create({ model, input, ...options })
    return await on.finalResponse()
  }

  async function error(model) {
    const { error } = await thrown(() => create(model, 'x'))
    return { status: error.status, message: error.error.message }
  }

  return {
    async text() {
      const [one, two] = [await lane(), await lane()]
      const asked = [create('text', 'hello', {}, one), create('text', 'hi', {}, two)]
      const [answer, other] = await Promise.all(asked)
      return { text: answer.output_text, usage: usage(answer), other: other.output_text }
    },
    async stream() {
      const asked = await lane()
      const pieces = []
      asked.create({ model: 'stream', input: 'hello' })
      for (let event = {}; event.type !== 'response.completed'; ) {
        event = await asked.receive()
        if (event.type === 'response.output_text.delta') pieces.push(event.delta)
      }
      return { pieces, text: pieces.join('') }
    },
    async own_tool() {
      const answer = await create('own_tool', 'How many lamps?')
      return { streamed: answer.output_text, pending: pending(answer).length }
    },
    async client_tool() {
      const [tools, asked] = [[WEATHER], await lane()]
      let answer = await create('client_tool', QUESTION, { tools }, asked)
      for (let calls; (calls = pending(answer)).length; ) {
        const options = { previous_response_id: answer.id, tools }
        answer = await create('client_tool', outputs(calls), options, asked)
      }
      return { text: answer.output_text }
    },
    async approval() {
      return { approved: await answered(create, true), rejected: await answered(create, false) }
    },
    async no_usage() {
      const answer = await create('no_usage', 'hello')
      return { text: answer.output_text, usage: usage(answer) }
    },
    async structured() {
      const format = { type: 'json_schema', name: 'sum', schema: ANSWER, strict: true }
      const answer = await create('structured', SUM, { text: { format } })
      return JSON.parse(answer.output_text)
    },
    async conversation() {
      const { id } = await client.conversations.create()
      await create('conversation', 'one', { conversation: id })
      const answer = await create('conversation', 'two', { conversation: id })
      return { text: answer.output_text }
    },
    error_400: () => error('error_400'),
    error_404: () => error('nobody'),
    error_500: () => error('error_500'),
    async cancelled() {
      const left = await connected()
      const asked = new ResponsesWebSocketSession(left, BOUNDS).lane('left')
      asked.create({ model: 'cancelled', input: 'x' })
      for (;;) {
        const event = await asked.receive()
        if (event.type !== 'response.output_text.delta') continue
        left.close()
        return { text: event.delta }
      }
    },
    async calculator() {
      return { text: (await create('calculator', '12 * (3 + 4)')).output_text }
    },
  }
}
