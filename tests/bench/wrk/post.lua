-- POST one body again and again; at the end one line of JSON.  BODY_FILE and TOKEN come from the environment.
local file = io.open(os.getenv("BODY_FILE"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Auth-Token"] = os.getenv("TOKEN")

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "seconds": %f, "p99_ms": %f, "failed": %d}\n', summary.requests,
    summary.duration / 1e6, latency:percentile(99) / 1e3,
    errors.status + errors.read + errors.write + errors.timeout + errors.connect))
end
