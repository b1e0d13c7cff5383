// openai-node, over HTTP.

import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'

import { answered, outputs, pending, QUESTION, SUM, thrown, usage, WEATHER } from './common.mjs'

export function http(url) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })
  const create = (model, input, options) => client.responses.create({ model, input, ...options })

  async function error(model) {
    const { status, message } = await thrown(() => create(model, 'x'))
    return { status, message }
  }

  return {
    async text() {
      const answer = await create('text', 'hello')
      return { text: answer.output_text, usage: usage(answer) }
    },
    async stream() {
      const stream = client.responses.stream({ model: 'stream', input: 'hello' })
      const pieces = []
      for await (const event of stream) {
        if (event.type === 'response.output_text.delta') pieces.push(event.delta)
      }
      return { pieces, text: (await stream.finalResponse()).output_text }
    },
    async own_tool() {
      const question = { model: 'own_tool', input: 'How many lamps?' }
      const answer = await client.responses.create(question)
      const streamed = await client.responses.stream(question).finalResponse()
      return {
        text: answer.output_text,
        streamed: streamed.output_text,
        pending: [...pending(answer), ...pending(streamed)].length,
      }
    },
    async client_tool() {
      const tools = [WEATHER]
      let answer = await create('client_tool', QUESTION, { tools })
      for (let calls; (calls = pending(answer)).length; ) {
        const previous_response_id = answer.id
        answer = await create('client_tool', outputs(calls), { previous_response_id, tools })
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
      const format = zodTextFormat(z.object({ answer: z.number() }), 'sum')
      const body = { model: 'structured', input: SUM, text: { format } }
      return (await client.responses.parse(body)).output_parsed
    },
    async conversation() {
      const { id } = await client.conversations.create()
      await create('conversation', 'one', { conversation: id })
      const answer = await create('conversation', 'two', { conversation: id })
      return { text: answer.output_text }
    },
    error_400: () => error('error_400'),
    error_404: () => error('nobody'),
    async error_500() {
      const streamed = await thrown(async () => {
        for await (const _ of await create('error_500', 'x', { stream: true }));
      })
      return { ...(await error('error_500')), streamed: streamed.message }
    },
    async cancelled() {
      const begun = await create('cancelled', 'x', { background: true })
      const ended = await client.responses.cancel(begun.id)
      const stored = await client.responses.retrieve(begun.id)
      return { status: ended.status, stored: stored.status }
    },
    async calculator() {
      return { text: (await create('calculator', '12 * (3 + 4)')).output_text }
    },
  }
}
