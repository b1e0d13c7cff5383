// AG-UI's client, version 1.0.0 and the one inside CopilotKit's runtime, and that runtime.

import * as current from '@ag-ui/client'
import * as old from 'ag-ui-client-0'
import { CopilotRuntime, InMemoryAgentRunner, createCopilotRuntimeHandler } from '@copilotkit/runtime/v2'

import { thrown } from './common.mjs'

console.debug = console.error = console.warn = () => {}

const PAINT = { name: 'paint', description: 'Paints.', parameters: { type: 'object' } }
const text = (messages) =>
  messages
    .filter((message) => message.role === 'assistant' && message.content)
    .map((message) => message.content)
    .join('|')
const roles = (messages) => messages.map((message) => message.role)

/** Returns the cells of a version of the client. */
function cells(client, url) {
  const made = (name, options) => new client.HttpAgent({ url: `${url}/${name}/agui`, ...options })

  /** Asks an agent; returns it, its new messages, and the end of the run. */
  async function asked(agent, content, parameters) {
    let end
    if (content) agent.addMessage({ id: crypto.randomUUID(), role: 'user', content })
    const subscriber = { onRunFinishedEvent: ({ event }) => void (end = event) }
    const { newMessages, result } = await agent.runAgent(parameters, subscriber)
    return { agent, messages: newMessages, result, outcome: end?.outcome, end }
  }

  /** Asks for something that needs approval, and answers. */
  async function answered(payload, status = 'resolved') {
    const { agent, outcome } = await asked(made('eraser'), 'erase it')
    const resume = outcome.interrupts.map(({ id }) => ({ interruptId: id, status, payload }))
    const { messages } = await asked(agent, null, { resume })
    const tools = agent.messages.filter((message) => message.role === 'tool')
    const calls = agent.messages.flatMap((message) => message.toolCalls ?? [])
    const answeredAll = calls.every(({ id }) => tools.some((tool) => tool.toolCallId === id))
    return { text: text(messages), results: tools.map((tool) => tool.content), answeredAll }
  }

  return {
    async text() {
      const { messages, end } = await asked(made('echo'), 'hello')
      return { text: text(messages), usage: end.usage?.[0].totalTokens }
    },
    async conversation() {
      const { agent } = await asked(made('echo'), 'one')
      const { messages } = await asked(agent, 'two')
      return { text: text(messages), count: agent.messages.length }
    },
    async own_tool() {
      const { agent, messages } = await asked(made('own'), 'look')
      const [call] = messages.flatMap((message) => message.toolCalls ?? [])
      const seen = [call.function.name, call.function.arguments]
      const again = await asked(agent, 'and now?')
      return { roles: roles(messages), call: seen, text: text(messages), again: text(again.messages) }
    },
    async client_tool() {
      const { agent, messages } = await asked(made('painter'), 'paint', { tools: [PAINT] })
      const [call] = messages.flatMap((message) => message.toolCalls)
      agent.addMessage({ id: 't1', role: 'tool', toolCallId: call.id, content: 'painted' })
      const done = await asked(agent, null, { tools: [PAINT] })
      return { name: call.function.name, text: text(done.messages) }
    },
    async reasoning() {
      const { messages } = await asked(made('thinker'), 'think')
      return { roles: roles(messages), thought: messages[0].content }
    },
    async state() {
      const agent = made('counter', { initialState: { count: 1 } })
      await asked(agent, 'count')
      await asked(agent, 'count')
      return agent.state
    },
    async approved() {
      return answered({ approved: true })
    },
    async rejected() {
      return answered({ approved: false, reason: 'Mine.' })
    },
    async cancelled() {
      return answered(undefined, 'cancelled')
    },
    async blocked() {
      const { agent } = await asked(made('eraser'), 'erase it')
      const error = await thrown(() => asked(agent, 'something else'))
      return { refused: /interrupt/i.test(error.message) }
    },
    async image() {
      const source = { type: 'data', value: 'AA', mimeType: 'image/png' }
      const { messages } = await asked(made('viewer'), [
        { type: 'text', text: 'What is it?' },
        { type: 'image', source },
      ])
      return { text: text(messages) }
    },
    async custom() {
      const seen = []
      const agent = made('vendor')
      agent.subscribe({ onCustomEvent: ({ event }) => void seen.push(event.name) })
      await asked(agent, 'x')
      return { seen }
    },
    async failed_before() {
      const error = await thrown(() => asked(made('refuser'), 'x'))
      return { status: error.status, message: error.message.includes('No more today.') }
    },
    async failed_amid() {
      const agent = made('breaker')
      let failure
      agent.subscribe({ onRunErrorEvent: ({ event }) => void (failure = event) })
      await asked(agent, 'x').catch(() => {})
      return { code: failure.code, message: failure.message, text: text(agent.messages) }
    },
    async aborted() {
      const agent = made('sleeper')
      agent.subscribe({ onTextMessageContentEvent: () => agent.abortRun() })
      await asked(agent, 'x').catch(() => {})
      return { text: text(agent.messages) }
    },
  }
}

export const version1 = (url) => cells(current, url)
export const version0 = (url) => cells(old, url)

/** CopilotKit's runtime, whose front end is asked over its own HTTP. */
export function copilotkit(url) {
  const names = ['echo', 'own', 'eraser', 'breaker']
  const agents = Object.fromEntries(
    names.map((name) => [name, new old.HttpAgent({ url: `${url}/${name}/agui` })])
  )
  const runtime = new CopilotRuntime({ agents, runner: new InMemoryAgentRunner() })
  const handler = createCopilotRuntimeHandler({ runtime, basePath: '/api' })

  async function events(name, input) {
    const body = JSON.stringify({
      threadId: `t-${name}`,
      runId: crypto.randomUUID(),
      state: {},
      messages: [{ id: 'u1', role: 'user', content: 'hello' }],
      tools: [],
      context: [],
      forwardedProps: {},
      ...input,
    })
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
    const request = new Request(`http://x/api/agent/${name}/run`, { method: 'POST', body, headers })
    const frames = (await (await handler(request)).text()).split('\n\n')
    return frames.filter((frame) => frame.startsWith('data: ')).map((frame) => JSON.parse(frame.slice(6)))
  }

  const content = (found) =>
    found
      .filter((event) => event.type === 'TEXT_MESSAGE_CONTENT')
      .map((event) => event.delta)
      .join('')

  return {
    async text() {
      const found = await events('echo')
      return { text: content(found), end: found.at(-1).type }
    },
    async own_tool() {
      const found = await events('own')
      return { kinds: found.map((event) => event.type).filter((kind) => kind.startsWith('TOOL')) }
    },
    async approval() {
      const found = await events('eraser')
      const [{ id }] = found.at(-1).outcome.interrupts
      const resume = [{ interruptId: id, status: 'resolved', payload: { approved: true } }]
      return { text: content(await events('eraser', { resume })) }
    },
    async failed() {
      return { end: (await events('breaker')).at(-1).type }
    },
  }
}
