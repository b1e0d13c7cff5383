// Vercel's AI SDK, versions 6 and 7, each with two providers, and with Databricks'.

import { createDatabricksProvider } from '@databricks/ai-sdk-provider'
import * as ai6 from 'ai6'
import { createOpenResponses as createOpenResponses6 } from 'ai6-open-responses'
import { createOpenAI as createOpenAI6 } from 'ai6-openai'
import * as ai7 from 'ai7'
import { createOpenResponses as createOpenResponses7 } from 'ai7-open-responses'
import { createOpenAI as createOpenAI7 } from 'ai7-openai'
import { z } from 'zod'

import { DEGREES, QUESTION, SUM, thrown } from './common.mjs'

globalThis.AI_SDK_LOG_WARNINGS = false

/** Returns the options that ask for the weather and offer the tool for it. */
function weather(ai) {
  const get_weather = ai.tool({
    description: 'The weather of a city',
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => DEGREES[city],
  })
  return { prompt: QUESTION, tools: { get_weather }, stopWhen: ai.stepCountIs(5) }
}

/** Returns the cells that every provider has. */
function cells(ai, model) {
  const generate = (name, prompt, options) =>
    ai.generateText({ model: model(name), prompt, ...options })

  /** Streams an answer; returns its pieces and its errors. */
  async function streamed(name, prompt, options) {
    const stream = ai.streamText({ model: model(name), prompt, onError() {}, ...options })
    const [pieces, errors] = [[], []]
    for await (const part of stream.fullStream) {
      if (part.type === 'text-delta') pieces.push(part.text)
      if (part.type === 'error') errors.push(part.error.message ?? part.error)
    }
    return { pieces, errors, stream }
  }

  async function told(name) {
    const { text, usage } = await generate(name, 'hello')
    return { text, usage: [usage.inputTokens, usage.outputTokens] }
  }

  async function error(name) {
    const found = await thrown(() => generate(name, 'x', { maxRetries: 0 }))
    return { status: found.statusCode, message: found.message }
  }

  return {
    text: () => told('text'),
    async stream() {
      const { pieces, stream } = await streamed('stream', 'hello')
      return { pieces, text: await stream.text }
    },
    async own_tool() {
      const question = ['own_tool', 'How many lamps?', { stopWhen: ai.stepCountIs(5) }]
      const { text, steps } = await generate(...question)
      const { stream } = await streamed(...question)
      const calls = [...steps, ...(await stream.steps)].flatMap((step) => step.toolCalls)
      const pending = calls.filter((call) => !call.providerExecuted).length
      return { text, streamed: await stream.text, pending }
    },
    async client_tool() {
      const { prompt, ...options } = weather(ai)
      const { text } = await generate('client_tool', prompt, options)
      const { stream } = await streamed('client_tool', prompt, options)
      return { text, streamed: await stream.text }
    },
    no_usage: () => told('no_usage'),
    async structured() {
      const output = ai.Output.object({ schema: z.object({ answer: z.number() }) })
      return (await generate('structured', SUM, { output })).output
    },
    async conversation() {
      const messages = [{ role: 'user', content: 'one' }]
      const first = await ai.generateText({ model: model('conversation'), messages })
      messages.push(...first.response.messages, { role: 'user', content: 'two' })
      return { text: (await ai.generateText({ model: model('conversation'), messages })).text }
    },
    error_400: () => error('error_400'),
    error_404: () => error('nobody'),
    async error_500() {
      const { errors } = await streamed('error_500', 'x', { maxRetries: 0 })
      return { ...(await error('error_500')), streamed: String(errors) }
    },
    async cancelled() {
      const controller = new AbortController()
      const stream = ai.streamText({
        model: model('cancelled'),
        prompt: 'x',
        abortSignal: controller.signal,
      })
      let text = ''
      for await (const piece of stream.textStream) {
        text += piece
        controller.abort()
      }
      return { text }
    },
    async calculator() {
      const stopWhen = ai.stepCountIs(5)
      return { text: (await generate('calculator', '12 * (3 + 4)', { stopWhen })).text }
    },
  }
}

/** Returns the cell of the providers that have approvals. */
function approvals(ai, options) {
  async function answered(approved) {
    const messages = [{ role: 'user', content: 'Write to Ann.' }]
    const asked = await ai.generateText({ ...options, messages })
    const request = asked.content.find((part) => part.type === 'tool-approval-request')
    const { approvalId } = request
    const answer = { type: 'tool-approval-response', approvalId, approved, providerExecuted: true }
    messages.push(...asked.response.messages, { role: 'tool', content: [answer] })
    return (await ai.generateText({ ...options, messages })).text
  }

  return async () => ({ approved: await answered(true), rejected: await answered(false) })
}

/** Returns the cells of @ai-sdk/openai, which has conversations and approvals. */
function withOpenAI(ai, createOpenAI, url) {
  const provider = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })
  const config = { serverLabel: 'approval', serverUrl: url, requireApproval: 'always' }
  const tools = { mcp: provider.tools.mcp(config) }

  return {
    ...cells(ai, provider.responses),
    approval: approvals(ai, { model: provider.responses('approval'), tools }),
    async conversation() {
      const made = await fetch(`${url}/v1/conversations`, { method: 'POST', body: '{}' })
      const { id: conversation } = await made.json()
      const options = {
        model: provider.responses('conversation'),
        providerOptions: { openai: { conversation } },
      }
      await ai.generateText({ ...options, prompt: 'one' })
      return { text: (await ai.generateText({ ...options, prompt: 'two' })).text }
    },
  }
}

const withOpenResponses = (ai, createOpenResponses, url) =>
  cells(ai, createOpenResponses({ name: 'agents', url: `${url}/v1/responses`, apiKey: 'none' }))

export const ai6OpenAI = (url) => withOpenAI(ai6, createOpenAI6, url)
export const ai6OpenResponses = (url) => withOpenResponses(ai6, createOpenResponses6, url)
export const ai7OpenAI = (url) => withOpenAI(ai7, createOpenAI7, url)
export const ai7OpenResponses = (url) => withOpenResponses(ai7, createOpenResponses7, url)

/** Databricks' provider, which asks `/invocations`, and streams as Databricks' chat app does. */
export function databricks(url) {
  const options = { baseURL: url, headers: {}, formatUrl: () => `${url}/invocations` }
  const { responses } = createDatabricksProvider({ ...options, useRemoteToolCalling: true })
  const local = createDatabricksProvider(options)

  async function streamed(name, prompt) {
    const stream = ai6.streamText({ model: responses(name), prompt })
    await stream.consumeStream()
    const calls = await stream.toolCalls
    const pending = calls.filter((call) => !call.providerExecuted).length
    return { streamed: await stream.text, pending }
  }

  return {
    ...cells(ai6, responses),
    own_tool: () => streamed('own_tool', 'How many lamps?'),
    async client_tool() {
      const model = local.responses('client_tool')
      const { text } = await ai6.generateText({ model, ...weather(ai6) })
      return { text }
    },
    approval: approvals(ai6, { model: responses('approval') }),
    async calculator() {
      return { text: (await streamed('calculator', '12 * (3 + 4)')).streamed }
    },
  }
}
