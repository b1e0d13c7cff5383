// What `useChat` does, without a page: `Chat` of @ai-sdk/react in three versions.

const TOOLS = [{ type: 'function', name: 'get_weather' }]
const PICTURE = 'data:image/png;base64,AA=='
const DEADLINE = 15_000 // milliseconds until something has to be seen

export const chat5 = (url) => cells(5, url)
export const chat6 = (url) => cells(6, url)
export const chat7 = (url) => cells(7, url)

function cells(version, url) {
  const make = (options) => begin(version, url, options)
  return {
    text: () => asked(make, 'text'),
    reasoning: () => asked(make, 'reasoning'),
    own: () => asked(make, 'own'),
    failing: () => asked(make, 'failing'),
    sources: () => asked(make, 'sources'),
    picture: () => asked(make, 'picture'),
    incomplete: () => asked(make, 'incomplete'),
    error: () => asked(make, 'error'),
    refused: () => asked(make, 'refused'),
    metadata: () => metadata(make),
    data: () => data(make),
    files: () => files(make),
    client: () => client(make),
    approve: () => approval(make, true),
    deny: () => approval(make, false),
    turns: () => turns(make),
    regenerate: () => regenerate(make),
    edit: () => edit(make),
    last: () => last(make),
    abort: () => abort(make),
    resume: () => resume(make),
    stop: () => stop(make, url),
  }
}

/** Returns a chat, and what it reports. */
async function begin(version, url, { path = '/api/chat', body, prepare, ...options } = {}) {
  const ai = await import(`ai${version}`)
  const { Chat } = await import(`ai${version}-react`)
  const seen = { errors: [], data: [], finished: [], calls: [] }
  const transport = new ai.DefaultChatTransport({
    api: url + path,
    body,
    prepareSendMessagesRequest: prepare,
  })
  const chat = new Chat({
    transport,
    onError: (error) => seen.errors.push(error.message),
    onData: (part) => seen.data.push([part.type, part.data]),
    onFinish: ({ isAbort, isError }) => seen.finished.push({ isAbort, isError }),
    onToolCall: ({ toolCall }) => seen.calls.push(toolCall.toolName),
    ...options,
  })
  return { ai, chat, seen }
}

/** Returns what a question's answer looks like. */
async function asked(make, text) {
  const { chat, seen } = await make({ body: { tools: TOOLS } })
  await chat.sendMessage({ text })
  return { parts: parts(chat), status: chat.status, errors: seen.errors, calls: seen.calls }
}

async function metadata(make) {
  const { chat } = await make()
  await chat.sendMessage({ text: 'text' })
  const { id, metadata } = chat.lastMessage
  const { responseId, traceId, usage } = metadata
  return { same: id === responseId, trace: traceId.startsWith('tr-'), usage }
}

async function data(make) {
  const { chat, seen } = await make()
  await chat.sendMessage({ text: 'data' })
  return { parts: parts(chat), data: seen.data }
}

async function files(make) {
  const { chat } = await make()
  const list = [
    { type: 'file', mediaType: 'image/png', url: PICTURE, filename: 'a.png' },
    { type: 'file', mediaType: 'text/csv', url: 'data:text/csv;base64,YQ==', filename: 'a.csv' },
  ]
  await chat.sendMessage({ text: 'files', files: list })
  return parts(chat)
}

/** The client executes two calls at once, and the answer follows by itself in the same message. */
async function client(make) {
  const { ai, chat, seen } = await make({
    body: { tools: TOOLS },
    onToolCall: undefined,
    ...{ sendAutomaticallyWhen: (state) => whole(state) },
  })
  const whole = ai.lastAssistantMessageIsCompleteWithToolCalls
  await chat.sendMessage({ text: 'client' })
  for (const part of chat.lastMessage.parts.filter((part) => part.type === 'tool-get_weather')) {
    const output = `sunny in ${part.input.city}`
    void (chat.addToolOutput ?? chat.addToolResult)({
      tool: 'get_weather',
      toolCallId: part.toolCallId,
      output,
    })
  }
  await settled(chat, () => text(chat).includes('It is'))
  return { parts: parts(chat), messages: chat.messages.length, errors: seen.errors }
}

/** The client answers an approval request, and the answer follows by itself. */
async function approval(make, approved) {
  const { ai, chat, seen } = await make({ sendAutomaticallyWhen: (state) => whole(state) })
  const whole = ai.lastAssistantMessageIsCompleteWithApprovalResponses
  await chat.sendMessage({ text: 'approval' })
  const before = parts(chat)
  const asked = chat.lastMessage.parts.find((part) => part.state === 'approval-requested')
  await chat.addToolApprovalResponse({ id: asked.approval.id, approved, reason: 'My reason.' })
  await settled(chat, () => text(chat).includes('My reason.'))
  const after = parts(chat)
  await chat.sendMessage({ text: 'turns' })
  const { calls, errors } = seen
  return { before, after, next: parts(chat), messages: chat.messages.length, calls, errors }
}

async function turns(make) {
  const { chat } = await make()
  await chat.sendMessage({ text: 'own' })
  await chat.sendMessage({ text: 'turns' })
  return parts(chat)
}

async function regenerate(make) {
  const { chat } = await make()
  await chat.sendMessage({ text: 'turns' })
  const before = chat.lastMessage.id
  await chat.regenerate()
  return { parts: parts(chat), messages: chat.messages.length, same: before === chat.lastMessage.id }
}

async function edit(make) {
  const { chat } = await make()
  await chat.sendMessage({ text: 'text' })
  await chat.sendMessage({ text: 'turns', messageId: chat.messages[0].id })
  return { parts: parts(chat), messages: chat.messages.length }
}

/** Sends the last message alone, as the AI SDK's documentation shows. */
async function last(make) {
  const prepare = ({ id, messages }) => ({ body: { id, message: messages.at(-1) } })
  const { chat, seen } = await make({ prepare })
  await chat.sendMessage({ text: 'text' })
  await chat.sendMessage({ text: 'turns' })
  return { parts: parts(chat), errors: seen.errors }
}

async function abort(make) {
  const { chat, seen } = await make()
  const sent = chat.sendMessage({ text: 'slow' })
  await settled(chat, () => text(chat).includes('word'), 'streaming')
  await chat.stop()
  await sent
  return { status: chat.status, aborted: seen.finished[0].isAbort, errors: seen.errors }
}

/** Leaves in the midst of an answer; another chat of the same id goes on with it. */
async function resume(make) {
  const path = '/resumed/api/chat'
  const one = await make({ path })
  const sent = one.chat.sendMessage({ text: 'slow' })
  await settled(one.chat, () => text(one.chat).includes('word'), 'streaming')
  await one.chat.stop()
  await sent
  const { chat, seen } = await make({ path, id: one.chat.id, messages: one.chat.messages.slice(0, 1) })
  await chat.resumeStream()
  const resumed = { parts: parts(chat), messages: chat.messages.length, errors: seen.errors }
  await chat.resumeStream()
  return { ...resumed, after: chat.status, still: chat.messages.length }
}

async function stop(make, url) {
  const path = '/resumed/api/chat'
  const { chat, seen } = await make({ path })
  const sent = chat.sendMessage({ text: 'slow' })
  await settled(chat, () => text(chat).includes('word'), 'streaming')
  const answer = await fetch(`${url}${path}/${chat.id}/stop`, { method: 'POST' })
  await sent
  const whole = text(chat).includes('end')
  return { stopped: answer.status, whole, status: chat.status, errors: seen.errors }
}

/** Returns the last message's parts without ids and empty members. */
function parts(chat) {
  return chat.lastMessage.parts.map((part) => {
    const { toolCallId, sourceId, id, providerMetadata, approval, ...rest } = part
    const answer = approval && { approved: approval.approved }
    return Object.fromEntries(
      Object.entries({ ...rest, ...answer }).filter(([, value]) => value !== undefined),
    )
  })
}

const text = (chat) =>
  (chat.lastMessage?.role === 'assistant' ? chat.lastMessage.parts : [])
    .filter((part) => part.type === 'text')
    .map((part) => part.text)
    .join('')

/** Waits until a chat has a status and shows something. */
async function settled(chat, shows, status = 'ready') {
  const until = Date.now() + DEADLINE
  while (!(shows() && chat.status === status)) {
    if (Date.now() > until) throw new Error(`${chat.status}: ${JSON.stringify(chat.messages)}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
