#!/usr/bin/env bash
# The whole of credence in one sitting: an AWS emulator that checks signatures,
# the gateway with Envoy, and an agent that has an OIDC token and no AWS key.
# Every step checks that it did what it says; the first that did not ends the
# script with 1. KEEP=1 leaves everything running at the end.
# Needs credence, aws and python with moto and boto3 in PATH (make demo).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
pids=()

stop() {
  local status=$?
  [ "$status" -eq 0 ] || { echo "demo: failed; the last lines of the gateway:" >&2; tail -n 20 "$work/up.log" >&2 || true; }
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
  exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "demo: $*" >&2; exit 1; }
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "${*//$here\//}"; }
check() { grep -qE -- "$1" "$work/out" || fail "the output above lacks '$1'"; }

does() { # does WANT COMMAND...: it must succeed and print WANT
  show "${@:2}"
  "${@:2}" 2>&1 | tee "$work/out" || fail "this should have succeeded"
  check "$1"
}

refused() { # refused WANT COMMAND...: it must fail and print WANT
  show "${@:2}"
  if "${@:2}" 2>&1 | tee "$work/out"; then fail "this should have been refused"; fi
  check "$1"
}

requests() { grep -c ' HTTP/1.1" ' aws.log; } # that AWS has received

free_ports() { # prints three; on Linux nobody else is given them until it ends, and servers may listen there
  exec python -c 'import signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
held = [socket.socket() for _ in range(3)]
for s in held:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held), flush=True)
if sys.platform == "linux": signal.pause()'
}

cd "$work"
unset "${!AWS_@}" # the caller's own settings, and any proxy, have no part in this
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
export XDG_STATE_HOME=$work/state # where the log's checkpoints are kept
read -r aws listen issuer < <(free_ports)
pids+=(${!-})
aws=http://127.0.0.1:$aws

say "1. An AWS account with a bucket, a table and a queue (moto; it checks signatures and IAM)"
python "$here/account.py" serve "${aws##*:}" >aws.log 2>&1 &
pids+=($!)
python "$here/account.py" prepare "$aws" >gateway.env

say "2. The gateway: it alone holds an AWS key"
does 'wrote credence.yaml' credence init --emulator "$aws" --listen "127.0.0.1:$listen" --issuer "http://127.0.0.1:$issuer"
cp "$here"/policies/*.cedar policies/
show credence up --dev '&' # with the account's key in its environment
(set -a; . ./gateway.env; exec credence up --dev) >up.log 2>&1 &
pids+=($!)

say "3. The agent logs in: an OIDC token in, keys out that only the gateway honours"
does 'key CRDN.* of the gateway' credence run -- python "$here/agent.py" login
rm gateway.env

say "4. It works with S3 and DynamoDB as ever"
echo "quarterly numbers" >report.txt
does 'upload: ' credence run -- aws s3 cp --no-progress report.txt s3://reports/2026/report.txt
does 'quarterly numbers' credence run -- aws s3 cp s3://reports/2026/report.txt -
does ' 18 report.txt$' credence run -- aws s3 ls s3://reports/2026/
does 'query orders: 1 lamp, 2 chair' credence run -- python "$here/agent.py" orders
does 'received: hello' credence run -- python "$here/agent.py" jobs

say "5. It may not delete: the refusal as the AWS CLI prints it"
before=$(requests)
refused 'AccessDenied.*Policy does not allow s3:DeleteObject' credence run -- aws s3 rm s3://reports/2026/report.txt
refused 'AccessDenied.*never pass this gateway' credence run -- aws iam create-access-key --user-name gateway

say "6. AWS saw what was allowed, and nothing of what was refused"
echo "requests at AWS before the refusals: $before; since then: $(($(requests) - before))"
[ "$(requests)" = "$before" ] || fail "something of a refused call reached AWS"
does 'PUT /reports/2026/report.txt' grep -oE '[A-Z]+ /reports/[^ ]+' aws.log

say "7. The agent's keys are worth nothing at AWS itself"
refused 'InvalidAccessKeyId' credence run -- python "$here/agent.py" direct "$aws"

say "8. Every call is in the record"
does 'decision.deny .*s3:DeleteObject' credence audit tail
[ "$(grep -c ' call.begin ' out)" = "$(grep -c ' call.end ' out)" ] || fail "a call began and did not end"

say "9. Nobody changes the record unseen"
for _ in $(seq 50); do # what is written is signed within a second; a copy before that may miss a file that is about to be replaced
  credence audit verify >out || true
  grep -q 'not signed yet' out || break
  sleep 0.2
done
does '^  ok$' credence audit verify
show cp -r .credence/log edited
cp -r .credence/log edited
show perl -pi -e 's/DeleteObject/DeleteBucket/' edited/00000001.seg
perl -pi -e 's/DeleteObject/DeleteBucket/' edited/00000001.seg
refused 'TAMPERED WITH' credence audit verify edited

say "Done: the agent worked, was held to its policy and left a record. It never had an AWS key."
if [ -n "${KEEP:-}" ]; then
  say "It stays up until you press Ctrl-C. To be the agent, in another shell:"
  echo "cd $work"
  echo "export PATH=$(dirname "$(command -v credence)"):$(dirname "$(command -v aws)"):\$PATH"
  credence env --for cli
  trap 'exit 0' INT TERM
  wait "${pids[@]}"
fi
