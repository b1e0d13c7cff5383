// Talks to the agents of tests/protocols/a2a with @a2a-js/sdk: `node a2a_js.mjs URL BINDING`,
// `JSONRPC` or `HTTP+JSON`. Prints what it saw, as JSON. `... URL BINDING pushed` manages push
// notifications.

import process from 'node:process'
import { ListTasksRequest, SendMessageRequest, TaskState } from '@a2a-js/sdk'
import { ClientFactory, ClientFactoryOptions } from '@a2a-js/sdk/client'

const [url, binding, only] = process.argv.slice(2)
const NOBODY = 'resp_' + '0'.repeat(32)
const factory = new ClientFactory({
  ...ClientFactoryOptions.default,
  preferredTransports: [binding],
})
const connect = (agent) => factory.createFromUrl(`${url}/${agent}/.well-known/agent-card.json`, '')
const state = (value) => TaskState[value].replace('TASK_STATE_', '')
const textOf = (parts) => parts.map((part) => part.content?.value ?? '').join('')

let count = 0
function request(content, fields = {}) {
  const part = typeof content === 'string' ? { text: content } : { data: content }
  const message = { messageId: `m${++count}`, role: 'ROLE_USER', parts: [part], ...fields }
  return SendMessageRequest.fromJSON({ message })
}

/** Returns a task as a client puts it together from its events. */
function addedUp(events) {
  const [{ payload: first }, ...updates] = events
  const task = first.value
  const artifacts = new Map(task.artifacts.map((each) => [each.artifactId, each]))
  const states = [task.status.state]
  for (const { payload } of updates) {
    if (payload.$case === 'statusUpdate') {
      states.push(payload.value.status.state)
    } else {
      const { artifact, append } = payload.value
      if (append) artifacts.get(artifact.artifactId).parts.push(...artifact.parts)
      else artifacts.set(artifact.artifactId, artifact)
    }
  }
  const text = [...artifacts.values()].map((each) => textOf(each.parts)).join('')
  return { id: task.id, contextId: task.contextId, states: states.map(state), text }
}

const plain = (task) => ({
  id: task.id,
  state: state(task.status.state),
  text: task.artifacts.map((each) => textOf(each.parts)).join(''),
})

async function stream(client, ...message) {
  return addedUp(await Array.fromAsync(client.sendMessageStream(request(...message))))
}

async function failure(trial) {
  try {
    await trial()
  } catch (error) {
    return (error.cause ?? error).constructor.name.replace(/^(JsonRpc|Rest)/, '')
  }
  return 'none'
}

async function texts() {
  const client = await connect('echo')
  const first = await stream(client, 'one')
  const second = await client.sendMessage(request('two', { contextId: first.contextId }))
  const fetched = await client.getTask({ id: first.id })
  const listed = await client.listTasks(ListTasksRequest.fromJSON({ contextId: first.contextId }))
  return {
    first,
    second: plain(second),
    fetched: plain(fetched),
    listed: listed.tasks.map((task) => task.id),
    total: listed.totalSize,
  }
}

async function long_run() {
  const client = await connect('slow')
  const events = client.sendMessageStream(request('600'))
  const { value } = await events.next()
  const { id } = value.payload.value
  await events.return()
  const seen = []
  for await (const event of client.resubscribeTask({ id })) {
    seen.push(event)
    if (seen.length === 5) await client.cancelTask({ id })
  }
  return {
    same: seen[0].payload.value.id === id,
    last: addedUp(seen).states.at(-1),
    again: await failure(() => client.cancelTask({ id })),
    ended: await failure(() => Array.fromAsync(client.resubscribeTask({ id }))),
  }
}

async function approved() {
  const client = await connect('asker')
  const asked = await stream(client, 'write')
  const done = await stream(client, { approve: true }, { taskId: asked.id })
  return { asked: asked.states.at(-1), same: asked.id === done.id, done: done.text }
}

async function errors() {
  const client = await connect('echo')
  const failing = await connect('failing')
  const done = await stream(client, 'x')
  const push = { taskId: NOBODY, url: 'https://example.com' }
  return {
    get: await failure(() => client.getTask({ id: NOBODY })),
    push: await failure(() => client.createTaskPushNotificationConfig(push)),
    context: await failure(() => stream(client, 'x', { contextId: 'a/b' })),
    ended: await failure(() => stream(client, 'x', { taskId: done.id })),
    failed: (await stream(failing, 'yes')).states.at(-1),
  }
}

async function pushed() {
  const client = await connect('echo')
  const { id: taskId } = await stream(client, 'x')
  const push = { taskId, id: 'a', url: 'https://hooks.example.com/', token: 'secret' }
  const made = await client.createTaskPushNotificationConfig(push)
  const got = await client.getTaskPushNotificationConfig({ taskId, id: 'a' })
  const { configs } = await client.listTaskPushNotificationConfig({ taskId })
  await client.deleteTaskPushNotificationConfig({ taskId, id: 'a' })
  const [first, ...others] = [made, got, ...configs].map((each) => JSON.stringify(each))
  return {
    same: others.length === 2 && others.every((each) => each === first),
    made: [made.taskId === taskId, made.id, made.url, made.token],
    gone: await failure(() => client.getTaskPushNotificationConfig({ taskId, id: 'a' })),
  }
}

const seen = {}
for (const scenario of only ? [pushed] : [texts, long_run, approved, errors]) seen[scenario.name] = await scenario()
process.stdout.write(JSON.stringify(seen))
process.exit(0)
