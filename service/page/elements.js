// Elements from names, attributes and text. Text stays text: nothing that a file says can become markup.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...content) {
  return filled(document.createElement(name), attributes, content);
}

export function svg(name, attributes = {}, ...content) {
  return filled(document.createElementNS(SVG, name), attributes, content);
}

export function byId(id) {
  return document.getElementById(id);
}

function filled(made, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(name, value);
  }
  made.append(...content.filter((part) => part !== null));
  return made;
}
