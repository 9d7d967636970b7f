// ClickHouse's own client against the address in CLICKHOUSE_URL; prints one JSON object with what it saw.
import { createClient } from "@clickhouse/client";

const client = createClient({
  url: process.env.CLICKHOUSE_URL,
  compression: { request: true, response: true },
});
const seen = {};

seen.ping = (await client.ping()).success;
await client.command({ query: "CREATE TABLE node_events (id UInt32, name String) ENGINE = MergeTree ORDER BY id" });
await client.insert({
  table: "node_events",
  values: [{ id: 1, name: "one" }, { id: 2, name: "two" }],
  format: "JSONEachRow",
  clickhouse_settings: { async_insert: 0 },
});
const rows = await client.query({
  query: "SELECT id, name FROM node_events WHERE id >= {least: UInt32} ORDER BY id",
  query_params: { least: 2 },
  format: "JSONEachRow",
});
seen.rows = await rows.json();

let streamed = 0;
const large = await client.query({ query: "SELECT number FROM numbers(500000)", format: "JSONEachRow" });
for await (const batch of large.stream()) streamed += batch.length;
seen.streamed = streamed;

const failure = async (query) => {
  try {
    const result = await client.query({ query, format: "JSONEachRow" });
    for await (const batch of result.stream()) streamed += batch.length;
    return null;
  } catch (error) {
    return { code: error.code, type: error.type, message: String(error.message) };
  }
};
seen.syntax = await failure("SELEC 1");
seen.broken = await failure("SELECT throwIf(number = 2999999), number FROM numbers(3000000)");

await client.command({ query: "DROP TABLE node_events" });
await client.close();
console.log(JSON.stringify(seen));
