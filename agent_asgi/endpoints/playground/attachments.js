// The files that go with the next message: picked, pasted or dropped.

import { element, iconButton, visible } from "./dom.js";

const MAX_BYTES = 6 << 20; // base64 adds a third, and a server takes 8 MiB by default

export class Attachments {
  #files = []; // {name, part, node}
  node = element("ul", { class: "attachments", "aria-label": "Attachments" });
  note = element("p", { class: "problem", role: "alert", hidden: true });

  get parts() {
    return this.#files.map(({ part }) => part);
  }

  clear() {
    this.#files = [];
    this.node.replaceChildren();
    this.note.hidden = true;
  }

  async add(files) {
    this.note.hidden = true;
    for (const file of files) {
      const used = this.#files.reduce((sum, each) => sum + each.size, 0);
      if (used + file.size > MAX_BYTES) {
        this.note.textContent = `${file.name} is not attached: attachments may have ${MAX_BYTES >> 20} MiB together.`;
        this.note.hidden = false;
        continue;
      }
      const url = await dataUrl(file);
      const entry = { size: file.size, part: partOf(file, url) };
      const drop = () => {
        this.#files.splice(this.#files.indexOf(entry), 1);
        item.remove();
      };
      const preview = file.type.startsWith("image/") ? element("img", { src: url, alt: "" }) : null;
      const item = element("li", {}, preview, element("span", {}, visible(file.name)), iconButton("close", `Remove ${file.name}`, drop));
      this.#files.push(entry);
      this.node.append(item);
    }
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function partOf({ type, name }, url) {
  if (type.startsWith("image/")) return { type: "input_image", image_url: url, detail: "auto" };
  if (!type.startsWith("audio/")) return { type: "input_file", filename: name, file_data: url };
  const format = { mpeg: "mp3", "x-wav": "wav" }[type.slice(6)] ?? type.slice(6);
  return { type: "input_audio", input_audio: { data: url.slice(url.indexOf(",") + 1), format } };
}

/** Return the input of a message with attachments. */
export function inputOf(text, parts) {
  if (!parts.length) return text;
  const content = [...(text ? [{ type: "input_text", text }] : []), ...parts];
  return [{ type: "message", role: "user", content }];
}
