// Reads the JSON Schema of plans: the keys of a table, and which of them are currently allowed.

export class Schema {
  constructor(root) { this.root = root; }

  /** Resolves a reference; keywords beside the reference take precedence. */
  resolve(schema) {
    if (!schema?.$ref) return schema;
    const target = this.resolve(this.root.$defs[schema.$ref.replace("#/$defs/", "")]);
    const { $ref: _, ...own } = schema;
    return { ...target, ...own };
  }

  /**
   * The keys of a table as `[name, schema, required]`, without those that its other values exclude. New
   * task types therefore need no change here.
   */
  keys(schema, value) {
    const table = this.resolve(schema);
    let names = Object.keys(table.properties || {});
    let required = new Set(table.required || []);
    for (const rule of [table, ...(table.allOf || [])]) {
      if (!rule.if) continue;
      const branch = this.matches(rule.if, value) ? rule.then : rule.else;
      if (!branch) continue;
      for (const [name, allowed] of Object.entries(branch.properties || {})) if (allowed === false) names = names.filter((n) => n !== name);
      if (branch.propertyNames?.enum) names = names.filter((n) => branch.propertyNames.enum.includes(n));
      for (const name of branch.required || []) required.add(name);
    }
    return names.map((name) => [name, this.resolve(table.properties[name]), required.has(name)]);
  }

  matches(condition, value) {
    return Object.entries(condition.properties || {}).every(([name, s]) => {
      const v = value?.[name];
      if (s.const !== undefined) return v === s.const;
      return !s.enum || s.enum.includes(v);
    });
  }

  /** The values of an enumeration as `[value, description]`; null if the schema is not one. */
  choices(schema) {
    if (schema.oneOf?.every((c) => c.const !== undefined)) return schema.oneOf.map((c) => [c.const, c.description || ""]);
    return schema.enum ? schema.enum.map((v) => [v, ""]) : null;
  }
}

/** A description of the schema without Markdown. */
export const plain = (text) => (text || "").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/`/g, "");

/** A key as a label: `max_in_flight` is "Max in flight". */
export function label(name) {
  const known = { url: "URL", tls: "TLS", ca: "Certificate authorities", dns_refresh: "DNS refresh", ms: "Milliseconds", lag_p99: "Lag p99" };
  const text = name.replace(/[_-]/g, " ");
  return known[name] || text[0].toUpperCase() + text.slice(1);
}

export function valueAt(root, path) {
  return path.reduce((value, key) => value?.[key], root);
}

/** Sets a value, or removes it if undefined, with tables that become empty. */
export function setAt(root, path, value) {
  const [key, ...rest] = path;
  if (!rest.length) {
    if (value === undefined) delete root[key]; else root[key] = value;
    return;
  }
  if (root[key] === undefined) {
    if (value === undefined) return;
    root[key] = {};
  }
  setAt(root[key], rest, value);
  const left = root[key];
  if (!Array.isArray(left) && Object.keys(left).length === 0) delete root[key];
}
