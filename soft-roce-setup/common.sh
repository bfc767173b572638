# shellcheck shell=bash
# What setup, verify and teardown share. To be sourced.

# One file for each device: what setup changed and teardown undoes. A reboot undoes it too, and empties this folder.
state_folder=${COVEY_SOFT_ROCE_STATE:-/run/covey/soft-roce}
PATH=$PATH:/usr/sbin:/sbin
program=$(basename "$0")

say() {
    printf '%s: %s\n' "$program" "$*"
}

# fail WHAT REMEDY: ends the script.
fail() {
    printf '%s: %s\n  remedy: %s\n' "$program" "$1" "$2" >&2
    exit 1
}

# advise WHAT REMEDY: what may work nevertheless.
advise() {
    printf '%s: warning: %s\n  remedy: %s\n' "$program" "$1" "$2" >&2
}

# usage_error WHAT
usage_error() {
    printf '%s: %s; see %s --help\n' "$program" "$1" "$program" >&2
    exit 2
}

# change COMMAND...: what alters the machine is said first, and not done in a dry run.
change() {
    if [ "${dry_run:-no}" = yes ]; then
        say "would run: $*"
        return 0
    fi
    say "runs: $*"
    "$@"
}

need_root() {
    if [ "${dry_run:-no}" = no ] && [ "$(id -u)" -ne 0 ]; then
        fail "changing network devices needs root" "sudo $0 $*, or see what it would do with --dry-run"
    fi
}

need_tool() {
    command -v "$1" >/dev/null || fail "$1 is missing" "apt-get install $2"
}

check_name() {
    [[ $1 =~ ^[A-Za-z][A-Za-z0-9_]{0,31}$ ]] || usage_error "\"$1\" is no name for an RDMA device"
}

# netdev_of DEVICE: prints the network device below an RDMA device; fails where there is no such device.
netdev_of() {
    local line
    line=$(rdma link show 2>/dev/null | grep "^link $1/1 ") || return 1
    sed -n 's/.* netdev \([^ ]*\).*/\1/p' <<<"$line"
}

# rxe_on NETDEV: prints the RDMA device that is on it, if any.
rxe_on() {
    rdma link show 2>/dev/null | sed -n "s/^link \([^/]*\)\/1 .* netdev $1 *$/\1/p"
}

# ipv4_gid_index DEVICE: prints the index of its RoCE v2 GID made from an IPv4 address; fails where there is none.
ipv4_gid_index() {
    local gids=/sys/class/infiniband/$1/ports/1 gid index
    for gid in "$gids"/gids/*; do
        index=${gid##*/}
        if grep -q '^0000:0000:0000:0000:0000:ffff:' "$gid" && grep -qs 'RoCE v2' "$gids/gid_attrs/types/$index"; then
            echo "$index"
            return 0
        fi
    done
    return 1
}

port_is_ready() {
    grep -q ACTIVE "/sys/class/infiniband/$1/ports/1/state" && ipv4_gid_index "$1" >/dev/null
}

# wait_for_port DEVICE: the kernel makes the GIDs in a work item that tells nobody when it is done.
wait_for_port() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        ! port_is_ready "$1" || return 0
        sleep 0.1
    done
    return 1
}

check_memlock() {
    local limit
    limit=$(ulimit -l)
    if [ "$limit" != unlimited ]; then
        advise "only $limit KiB may be locked in memory here: registering a buffer fails beyond that" \
            "as root, write \"* - memlock unlimited\" to /etc/security/limits.d/rdma.conf and log in again"
    fi
}

# RoCE v2 is UDP to port 4791. Rules cannot be judged without running them: a chain that drops by default and names no such port is told.
check_firewall() {
    local rules=
    if command -v nft >/dev/null; then
        rules=$(nft list ruleset 2>/dev/null) || true
    fi
    if grep -q 'hook input .*policy drop' <<<"$rules" && ! grep -q 4791 <<<"$rules"; then
        advise "the firewall drops what it does not know, and knows nothing of UDP port 4791" \
            "nft add rule inet filter input udp dport 4791 accept (with your table's and chain's names)"
    fi
}
