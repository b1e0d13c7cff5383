// Images, audio and files, of messages and of answers. Nothing is loaded from elsewhere unasked.

import { element, textButton, visible } from "./dom.js";

const IMAGE = /^data:image\/(png|jpeg|gif|webp|svg\+xml)[;,]/i;
const AUDIO = /^data:audio\/[\w.+-]+[;,]/i;
const wanted = new Set(); // the images that the user has asked for

// Return an image; one from elsewhere is a button that loads it.
export function imageView(src, alt = "") {
  if (IMAGE.test(src) || wanted.has(src)) return image(src, alt);
  let host;
  try {
    host = new URL(src).host;
  } catch {
    return visible(alt || src);
  }
  if (!/^https:/i.test(src)) return link(src, alt || host);
  const load = () => {
    wanted.add(src);
    button.replaceWith(image(src, alt));
  };
  const button = textButton(`Load the image ${alt ? `“${visible(alt)}” ` : ""}from ${host}`, load, { class: "outlined load" });
  return button;
}

function image(src, alt) {
  return element("img", { src, alt: visible(alt), referrerpolicy: "no-referrer", loading: "lazy" });
}

function link(href, label) {
  return element("a", { href, title: href, target: "_blank", rel: "noopener noreferrer" }, visible(label));
}

// Return the node of a part of a message that is no text; null for a part without media.
export function partView(part) {
  const { type = "", filename } = part ?? {};
  const image = part?.image_url?.url ?? part?.image_url ?? part?.result;
  if (typeof image === "string" && image) return imageView(withType(image, "image/png"), filename ?? "");
  const audio = part?.input_audio ?? part?.audio ?? (type.includes("audio") ? part : null);
  if (typeof audio?.data === "string") return audioView(audio);
  if (typeof part?.file_data === "string") return fileView(part.file_data, filename ?? "file");
  const url = part?.file_url ?? part?.video_url;
  if (typeof url === "string" && /^https?:/i.test(url)) return link(url, filename ?? url);
  return null;
}

function audioView({ data, format = "wav", transcript }) {
  const src = withType(data, `audio/${format === "mp3" ? "mpeg" : format}`);
  if (!AUDIO.test(src)) return null;
  const player = element("audio", { controls: true, src, "aria-label": "Audio" });
  return transcript ? element("div", {}, player, element("p", {}, visible(transcript))) : player;
}

// The type of a download is none that a browser would open.
function fileView(data, name) {
  const content = data.replace(/^data:[^,]{0,200},/, "");
  const href = `data:application/octet-stream;base64,${content}`;
  return element("a", { class: "file", href, download: name }, visible(name));
}

function withType(data, type) {
  return /^(data|https?):/i.test(data) ? data : `data:${type};base64,${data}`;
}
