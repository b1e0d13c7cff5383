// OpenAI's Agents SDK for JavaScript, over HTTP and over WebSockets.

import {
  Agent,
  hostedMcpTool,
  OpenAIConversationsSession,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  tool,
} from '@openai/agents'
import OpenAI from 'openai'
import { z } from 'zod'

import { DEGREES, QUESTION, SUM, thrown } from './common.mjs'

setTracingDisabled(true)

const get_weather = tool({
  name: 'get_weather',
  description: 'The weather of a city',
  parameters: z.object({ city: z.string() }),
  execute: ({ city }) => DEGREES[city],
})

export function sdk(url) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })
  const agent = (model, options) =>
    new Agent({ name: 'client', model: new OpenAIResponsesModel(client, model), ...options })

  async function told(model) {
    const done = await run(agent(model), 'hello')
    const { inputTokens, outputTokens } = done.runContext.usage
    return { text: done.finalOutput, usage: [inputTokens, outputTokens] }
  }

  async function answered(approve) {
    const config = { serverLabel: 'approval', serverUrl: url, requireApproval: 'always' }
    const asking = hostedMcpTool({ ...config, onApproval: async () => ({ approve }) })
    return (await run(agent('approval', { tools: [asking] }), 'Write to Ann.')).finalOutput
  }

  async function error(model) {
    const { status, message } = await thrown(() => run(agent(model), 'x'))
    return { status, message }
  }

  return {
    text: () => told('text'),
    async stream() {
      const stream = await run(agent('stream'), 'hello', { stream: true })
      const pieces = []
      for await (const piece of stream.toTextStream()) pieces.push(piece)
      return { pieces, text: stream.finalOutput }
    },
    async own_tool() {
      const done = await run(agent('own_tool'), 'How many lamps?')
      const stream = await run(agent('own_tool'), 'How many lamps?', { stream: true })
      await stream.completed
      const items = [...done.newItems, ...stream.newItems]
      const calls = items.filter((item) => item.rawItem.type === 'function_call')
      return { text: done.finalOutput, streamed: stream.finalOutput, pending: calls.length }
    },
    async client_tool() {
      return { text: (await run(agent('client_tool', { tools: [get_weather] }), QUESTION)).finalOutput }
    },
    async approval() {
      return { approved: await answered(true), rejected: await answered(false) }
    },
    no_usage: () => told('no_usage'),
    async structured() {
      const outputType = z.object({ answer: z.number() })
      return (await run(agent('structured', { outputType }), SUM)).finalOutput
    },
    async conversation() {
      const session = new OpenAIConversationsSession({ client })
      await run(agent('conversation'), 'one', { session })
      return { text: (await run(agent('conversation'), 'two', { session })).finalOutput }
    },
    error_400: () => error('error_400'),
    error_404: () => error('nobody'),
    async error_500() {
      const streamed = await thrown(async () => {
        const stream = await run(agent('error_500'), 'x', { stream: true })
        for await (const _ of stream);
        await stream.completed
      })
      return { ...(await error('error_500')), streamed: streamed.message }
    },
    async cancelled() {
      const controller = new AbortController()
      const options = { stream: true, signal: controller.signal }
      const stream = await run(agent('cancelled'), 'x', options)
      let text = ''
      for await (const piece of stream.toTextStream()) {
        text += piece
        controller.abort()
      }
      return { text }
    },
    async calculator() {
      return { text: (await run(agent('calculator'), '12 * (3 + 4)')).finalOutput }
    },
  }
}
