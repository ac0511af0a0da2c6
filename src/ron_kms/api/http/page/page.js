
"use strict";

/** An element; children are nodes or text, and text is never taken for markup. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text with `code`, **bold** and paragraphs, which is all that the descriptions use. */
function prose(text) {
  return (text || "").trim().split(/\n\s*\n/).filter(Boolean).map((paragraph) =>
    el("p", {}, paragraph.split(/(`[^`]*`|\*\*[^*]*\*\*)/).map((part) => {
      if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
      if (part.startsWith("**")) return el("strong", {}, part.slice(2, -2));
      return part;
    })));
}

function inline(text) {
  const [first] = prose(text);
  return first ? [...first.childNodes] : [];
}

const nameOf = (reference) => reference.split("/").pop();

/** What a value is, in a few words: its type, as a link where it has a name. */
function typeOf(schema) {
  if (!schema) return ["any"];
  if (schema.$ref) return [el("a", { href: `#schema-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.flatMap((choice, at) => (at ? [" or ", ...typeOf(choice)] : typeOf(choice)));
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" | ")];
  if (schema.const !== undefined) return [JSON.stringify(schema.const)];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items)];
  if (schema.type === "object" && schema.additionalProperties) return ["map of ", ...typeOf(schema.additionalProperties)];
  if (schema.contentEncoding === "base64") return ["bytes (base64 in JSON)"];
  return [schema.format ? `${schema.type}, ${schema.format}` : schema.type || "any"];
}

/** Bounds of a value, its default among them. */
function boundsOf(schema) {
  const said = [];
  const bytes = schema.contentEncoding === "base64";
  const range = (low, high, unit) => {
    if (low !== undefined && low === high) said.push(`exactly ${low} ${unit}`);
    else {
      if (low && high !== undefined) said.push(`${low} to ${high.toLocaleString("en")} ${unit}`);
      else if (low) said.push(`at least ${low} ${unit}`);
      else if (high !== undefined) said.push(`at most ${high.toLocaleString("en")} ${unit}`);
    }
  };
  range(schema.minLength, schema.maxLength, bytes ? "base64 characters" : "characters");
  range(schema.minItems, schema.maxItems, "items");
  range(schema.minProperties, schema.maxProperties, "entries");
  range(schema.minimum, schema.maximum, "");
  if (schema.default !== undefined && schema.default !== null) said.push(`default ${JSON.stringify(schema.default)}`);
  const notes = said.length ? [el("span", { class: "soft" }, said.join(", ").trim())] : [];
  if (schema.pattern) notes.push(said.length ? ", " : "", el("code", { class: "soft" }, schema.pattern));
  return notes;
}

function fieldRow(name, schema, required, where) {
  const description = inline(schema.description);
  const bounds = boundsOf(schema);
  return el("tr", {},
    el("td", {}, el("code", {}, name), required ? el("div", { class: "required" }, "required") : null),
    el("td", {}, typeOf(schema), where ? el("div", { class: "soft" }, where) : null),
    el("td", {}, description, description.length && bounds.length ? el("br") : null, bounds));
}

function table(rows, ...heads) {
  if (!rows.length) return null;
  return el("div", { class: "scroll" },
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", {}, head)))), el("tbody", {}, rows)));
}

function fieldsOf(schema) {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties || {}).map(([name, field]) => fieldRow(name, field, required.includes(name)));
  return table(rows, "Field", "Type", "Meaning");
}

function example(text) {
  const copy = el("button", {
    type: "button",
    onclick: async (event) => {
      await navigator.clipboard.writeText(text);
      event.target.textContent = "copied";
      setTimeout(() => { event.target.textContent = "copy"; }, 1500);
    },
  }, "copy");
  return el("div", { class: "example" }, navigator.clipboard ? copy : null, el("pre", {}, el("code", {}, text)));
}

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(path, method, operation, parameters) {
  const http2 = location.protocol === "https:" ? "--http2" : "--http2-prior-knowledge";
  const content = operation.requestBody?.content["application/json"];
  const lines = [
    `curl -s ${http2} -X ${method}`,
    `-H "Authorization: Bearer $(cat admin.token)"`,
    ...parameters.filter((item) => item.in === "header" && item.required).map((item) => `-H ${inShell(`${item.name}: ${item.schema.examples[0]}`)}`),
    ...(content ? ["-H 'Content-Type: application/json'", `-d ${inShell(JSON.stringify(content.example))}`] : []),
    inShell(location.origin + path),
  ];
  return lines.join(" \\\n  ");
}

function operationOf(path, method, operation, components) {
  const resolve = (item) => (item.$ref ? item.$ref.slice(2).split("/").slice(1).reduce((at, key) => at[key], components) : item);
  const parameters = operation.parameters.map(resolve);
  const responses = Object.entries(operation.responses).map(([status, item]) => [status, resolve(item)]);
  const [good, success] = responses.find(([status]) => status.startsWith("2"));
  const errors = responses.filter(([status]) => !status.startsWith("2"));
  const request = operation.requestBody?.content["application/json"].schema;
  const answer = success.content["application/json"];
  return el("section", { class: "operation", id: operation.operationId },
    el("div", { class: "title" }, el("span", { class: `badge ${method}` }, method), el("code", {}, path)),
    el("h2", {}, inline(operation.summary)),
    prose(operation.description),
    el("h3", {}, "Parameters"),
    table(parameters.map((item) => fieldRow(item.name, { ...item.schema, description: item.description },
      item.required, item.in)), "Name", "Type", "Meaning"),
    request ? [el("h3", {}, "Body: ", typeOf(request)), fieldsOf(resolve(request))] : null,
    el("h3", {}, "Example"), example(curl(path, method, operation, parameters)),
    el("h3", {}, `Answer ${good}: `, typeOf(answer.schema)), fieldsOf(resolve(answer.schema)),
    answer.example === undefined ? null : el("p"), answer.example === undefined ? null : example(JSON.stringify(answer.example, null, 2)),
    el("p", { class: "soft" }, "Errors: ", errors.flatMap(([status, item], at) => [
      at ? ", " : "", `${status} `, Object.keys(item["x-codes"]).join(" or ")]), ". See ", el("a", { href: "#errors" }, "Errors"), "."));
}

function errorsOf(components) {
  const rows = Object.entries(components.responses).flatMap(([name, response]) =>
    Object.entries(response["x-codes"]).map(([code, hint]) => el("tr", {},
      el("td", {}, el("code", {}, code)), el("td", {}, name.replace("Error", "")), el("td", {}, hint))));
  return el("section", { class: "operation", id: "errors" }, el("h2", {}, "Errors"), table(rows, "Code", "HTTP", "What to do"));
}

function draw(spec) {
  const { components } = spec;
  const operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method.toUpperCase(), operation]));
  document.title = `${spec.info.title} API`;
  document.getElementById("nav").append(
    el("strong", {}, `${spec.info.title} ${spec.info.version}`),
    el("h2", {}, "Operations"),
    ...operations.map(([path, method, operation]) => el("a", { href: `#${operation.operationId}`, title: `${method} ${path}` },
      el("span", { class: `badge ${method}` }, method), path.replace("/v1/kms/", ""))),
    el("h2", {}, "Reference"), el("a", { href: "#errors" }, "Errors"),
    el("div", { class: "schemas" },
      Object.keys(components.schemas).map((name) => el("a", { href: `#schema-${name}` }, name))));
  document.getElementById("main").append(
    el("h1", {}, `${spec.info.title} API`),
    el("p", { class: "soft" }, `Version ${spec.info.version}. ${spec.info.summary} `,
      el("a", { href: "/openapi.json" }, "OpenAPI document")),
    ...prose(spec.info.description),
    ...operations.map(([path, method, operation]) => operationOf(path, method, operation, components)),
    errorsOf(components),
    ...Object.entries(components.schemas).map(([name, schema]) => el("section", { class: "operation", id: `schema-${name}` },
      el("h2", {}, name), prose(schema.description), fieldsOf(schema))));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

fetch("/openapi.json").then((response) => response.json()).then(draw).catch(() => {
  document.getElementById("main").append(el("p", {}, "The OpenAPI document could not be loaded."));
});
