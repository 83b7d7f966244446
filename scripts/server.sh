# Sourced by the scripts beside it: builds the program, and keeps a private server while they run.
# The server has a data directory of its own, listens on a free port, and is stopped by its process id.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What a developer has set must not leak into a private server.
for name in $(compgen -e NEENA_ || true); do
  [[ $name == NEENA_TEST_* ]] || unset "$name"
done
export NEENA_CONFIG=/dev/null

# Builds the program (NEENA_TEST_BINARY names one that is built already) and sets `neena`.
build() {
  if [ -n "${NEENA_TEST_BINARY:-}" ]; then
    neena=$NEENA_TEST_BINARY
    return
  fi
  # The whole workspace resolves the features, so that this build and the tests' share their libraries.
  cargo build --manifest-path "$root/Cargo.toml" --workspace --bin neena
  neena=${CARGO_TARGET_DIR:-$root/target}/debug/neena
  case $neena in /*) ;; *) neena=$PWD/$neena ;; esac
}

# Starts the server with the given options and exports NEENA_URL, NEENA_TOKEN and NEENA_DATA_DIR.
start_server() {
  server_dir=$(mktemp -d "${TMPDIR:-/tmp}/neena.XXXXXX")
  export NEENA_DATA_DIR=$server_dir/data
  trap stop_server EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exec {server_says}< <(exec "$neena" serve --bind 127.0.0.1:0 "$@" 2>"$server_dir/log")
  server_pid=$!
  local line=
  if ! read -r -t 60 -u "$server_says" line || [[ $line != "neena is ready on http://"* ]]; then
    echo "the server did not start: ${line:-it said nothing}" >&2
    exit 1
  fi
  NEENA_URL=${line#neena is ready on }
  NEENA_TOKEN=$(cat "$NEENA_DATA_DIR/token")
  export NEENA_URL NEENA_TOKEN
}

# Stops the server; if the script failed, shows the end of its log first.
stop_server() {
  local code=$?
  trap - EXIT INT TERM
  if [ "$code" -ne 0 ] && [ -s "$server_dir/log" ]; then
    echo "--- the end of the server's log ---" >&2
    tail -n 30 "$server_dir/log" >&2
  fi
  if [ -n "${server_pid:-}" ]; then
    kill "$server_pid" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$server_pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$server_pid" 2>/dev/null || true
  fi
  rm -rf "$server_dir"
  exit "$code"
}
