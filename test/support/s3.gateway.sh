#!/usr/bin/env bash
# A real S3 server for tests: Ceph's gateway over one monitor and one disk that live in memory (about 200 MB).
#
#   s3.gateway.sh PORT MONITOR_PORT ACCESS_KEY SECRET_KEY
#
# Prints "ready" once it answers. It stops, and leaves nothing behind, when its standard input ends: whoever
# started it holds the other end of that pipe, so even a killed test run stops it.
set -euo pipefail
port=$1 monitor_port=$2 access_key=$3 secret_key=$4

home=$(mktemp -d "${TMPDIR:-/tmp}/s3-gateway.XXXXXX")
mkdir "$home"/{mon,osd,rgw,run,log}
export CEPH_CONF=$home/ceph.conf
# Programs that fetch configuration from the monitor keep its address but forget the cluster's id, and are
# turned away until they learn it anew: a race that a busy machine loses.
export CEPH_ARGS=--no-mon-config
daemons=()

stop() {
  # Nothing on these disks is worth a clean shutdown, nor bash's word on who was killed.
  exec 2>/dev/null
  if ((${#daemons[@]})); then kill -KILL "${daemons[@]}" || true; fi
  wait
  rm -rf "$home"
}
trap stop EXIT
trap 'exit 1' HUP INT TERM

# The daemons get KILL when this script is gone, however it went.
daemon() {
  local name=$1
  shift
  setpriv --pdeathsig KILL "$@" </dev/null >"$home/log/$name.out" 2>&1 &
  daemons+=($!)
}

step() {
  "$@" </dev/null >"$home/log/step.out" 2>&1 || {
    echo "failed: $*" >&2
    tail -n 20 "$home/log/step.out" >&2
    exit 1
  }
}

# The command line client loses that race whatever it is told. What it asks here may be asked twice.
ask() {
  for _ in {1..10}; do
    timeout 10 ceph "$@" </dev/null >"$home/log/step.out" 2>&1 && return
  done
  step timeout 10 ceph "$@"
}

cluster=$(cat /proc/sys/kernel/random/uuid)
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $cluster
mon host = v1:127.0.0.1:$monitor_port
mon initial members = a
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none

# one copy of everything, on one disk
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000
osd objectstore = memstore
memstore device bytes = 1073741824

# a quorum of one need not wait for others: start in seconds
paxos propose interval = 0.01
paxos min wait = 0.005
mon tick interval = 1

mon data = $home/mon
osd data = $home/osd
run dir = $home/run
admin socket = $home/run/\$name.asok
log file = $home/log/\$name.log
pid file = $home/run/\$name.pid

[client.rgw]
rgw data = $home/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
CONF

step monmaptool --create --fsid "$cluster" --addv a "[v1:127.0.0.1:$monitor_port]" "$home/monmap"
step ceph-mon --mkfs -i a --monmap "$home/monmap"
daemon mon ceph-mon -i a -f
step ceph-osd -i 0 --mkfs
ask osd new "$(cat "$home/osd/fsid")" 0
ask osd crush add-bucket default root
ask osd crush add osd.0 1.0 root=default host=here
daemon osd ceph-osd -i 0 -f
step timeout 30 radosgw-admin user create --uid test --display-name test \
  --access-key "$access_key" --secret-key "$secret_key" -n client.rgw
daemon rgw radosgw -f -n client.rgw

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
for _ in {1..300}; do
  if answers || (($(jobs -rp | wc -l) < ${#daemons[@]})); then break; fi
  sleep 0.1
done
if ! answers; then
  echo "the gateway does not answer on port $port" >&2
  tail -n 20 "$home"/log/{mon,osd,rgw}.out >&2
  exit 1
fi
echo ready

while read -r _; do :; done
