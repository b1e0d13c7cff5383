import { useChat } from '@ai-sdk/react'
import {
  DefaultChatTransport,
  isToolUIPart,
  lastAssistantMessageIsCompleteWithApprovalResponses,
} from 'ai'
import { useEffect } from 'react'
import { createRoot } from 'react-dom/client'

const id = (localStorage.chat ??= crypto.randomUUID())
const transport = new DefaultChatTransport({ api: '/api/chat' })
const stop = () => fetch(`/api/chat/${id}/stop`, { method: 'POST' })

function Chat() {
  const { messages, sendMessage, addToolApprovalResponse, status, error } = useChat({
    id,
    messages: JSON.parse(localStorage.messages ?? '[]'),
    transport,
    resume: true,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  })
  useEffect(() => void (localStorage.messages = JSON.stringify(messages)), [messages])

  const ask = (form) => void sendMessage({ text: form.get('text') })
  const answer = (part, approved) => addToolApprovalResponse({ id: part.approval.id, approved })
  const show = (part, key) => {
    if (part.type === 'text') return <p key={key}>{part.text}</p>
    if (!isToolUIPart(part)) return null
    return (
      <pre key={key}>
        {part.toolName ?? part.type} {JSON.stringify(part.output ?? part.input)} {part.state}
        {part.state === 'approval-requested' && (
          <>
            <button onClick={() => answer(part, true)}>Approve</button>
            <button onClick={() => answer(part, false)}>Deny</button>
          </>
        )}
      </pre>
    )
  }
  return (
    <main data-status={status}>
      {messages.map((message) => (
        <article key={message.id}>{message.parts.map(show)}</article>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form action={ask}>
        <input name="text" aria-label="Message" />
      </form>
      {status !== 'ready' && <button onClick={stop}>Stop</button>}
    </main>
  )
}

createRoot(document.getElementById('root')).render(<Chat />)
