// What the site's own search finds: node search.js SITE < QUERIES. Queries and results are JSON; the best page comes first.
"use strict";

const fs = require("fs");
const path = require("path");
const vm = require("vm");

const site = path.join(process.argv[2], "_static");
const page = vm.createContext({
  document: { getElementById: () => null, addEventListener: () => {}, readyState: "loading" },
  SPHINX_HIGHLIGHT_ENABLED: false,
  queries: JSON.parse(fs.readFileSync(0, "utf8")),
});
page.window = page;
const scripts = [
  "documentation_options.js",
  "base-stemmer.js",
  "english-stemmer.js",
  "language_data.js",
  "doctools.js",
  "searchtools.js",
  "../searchindex.js",
];
const find = `
  queries.map((query) => {
    const results = Search._performSearch(...Search._parseQuery(query));
    return [...new Set(results.reverse().map((result) => result[5]))];
  })`;
const code = scripts.map((name) => fs.readFileSync(path.join(site, name), "utf8")).join(";\n");
process.stdout.write(JSON.stringify(vm.runInContext(`${code};${find}`, page)));
