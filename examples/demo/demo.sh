#!/usr/bin/env bash
# The whole of credence in one sitting: an AWS emulator that checks signatures,
# the gateway with Envoy, and an agent that has an OIDC token and no AWS key.
# Needs bin/credence, moto_server, aws and python with boto3 in PATH (make demo).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
moto_port=${CREDENCE_DEMO_MOTO_PORT:-5000}
listen=${CREDENCE_DEMO_LISTEN:-127.0.0.1:8080}
issuer=${CREDENCE_DEMO_ISSUER:-http://127.0.0.1:8181}
pids=()

stop() {
  local status=$?
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  if [ "$status" -ne 0 ]; then
    echo "demo: failed; what the gateway said:" >&2
    tail -n 20 "$work/up.log" >&2 || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap stop EXIT

bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
refused() { # the command must fail
  printf '$ %s\n' "$*"
  if "$@"; then
    echo "demo: this should have been refused" >&2
    return 1
  fi
}

cd "$work"
bold "1. An AWS account with a bucket, a queue, a table and a secret (moto, IAM on)"
python "$here/account.py" serve "$moto_port" >moto.log 2>&1 &
pids+=($!)
python "$here/account.py" prepare "$moto_port" >gateway.env

bold "2. The gateway: only it holds an AWS key"
show credence init --emulator "http://127.0.0.1:$moto_port" --listen "$listen" --issuer "$issuer"
cp "$here"/policies/*.cedar policies/
(set -a; . ./gateway.env; exec credence up --dev) >up.log 2>&1 &
pids+=($!)
rm gateway.env

bold "3. An agent: an OIDC token, no AWS key"
show credence run -- sh -c 'env | grep -cE "^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)=" || true'
show credence run -- aws s3 ls
echo "quarterly numbers" >report.txt
show credence run -- aws s3 cp report.txt s3://reports/2026/report.txt
show credence run -- aws s3 cp s3://reports/2026/report.txt -
show credence run -- python "$here/agent.py"

bold "4. What its policy does not permit is refused"
refused credence run -- aws s3 cp report.txt s3://reports/2019/report.txt
refused credence run -- aws s3 rb s3://reports
refused credence run -- aws iam create-access-key --user-name gateway

bold "5. Every call is in the record"
show credence audit tail

bold "Done: the agent worked, was held to its policy, and left a record. It never saw an AWS key."
