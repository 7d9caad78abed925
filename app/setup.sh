# shellcheck shell=bash
# What app/demo and tests/run share: packages, build directories. To be sourced; needs $ROOT, the checkout.

setup_note() {
	printf '\033[2m-- %s\033[0m\n' "$*" >&2
}

setup_fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

setup_root() {
	[ "$(id -u)" = 0 ] || setup_fail "network namespaces and packet sockets need root: run it with sudo"
}

# Names from app/$1 that are not installed.
setup_missing() {
	local wanted installed
	wanted=$(sed 's/#.*//' "$ROOT/app/$1" | tr -s ' \t' '\n' | sort -u | sed '/^$/d')
	installed=$(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' 2>/dev/null | awk '$2 == "ii" { print $1 }' | sort -u)
	comm -23 <(echo "$wanted") <(echo "$installed")
}

# setup_packages [LIST]: installs what is missing of app/packages.txt or another list; does not touch apt when nothing is.
# Services that come along are neither started nor enabled: nginx and haproxy are only wanted as programs here.
setup_packages() {
	local missing policy=/usr/sbin/policy-rc.d ours='' package
	missing=$(setup_missing "${1:-packages.txt}")
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || setup_fail "not a Debian system; needed are: ${missing//$'\n'/ }"
	setup_note "installing ${missing//$'\n'/ }"
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		ours=yes
	fi
	if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
		>"$ROOT/build-packages.log" 2>&1 </dev/null; then
		tail -20 "$ROOT/build-packages.log" >&2
		[ -z "$ours" ] || rm -f $policy
		setup_fail "apt-get failed (build-packages.log)"
	fi
	rm -f "$ROOT/build-packages.log"
	[ -z "$ours" ] || rm -f $policy
	for package in nginx haproxy; do
		if grep -q "^$package" <<<"$missing"; then
			update-rc.d "$package" disable >/dev/null 2>&1 || true
		fi
	done
}

# setup_build DIRECTORY [TARGET... -- ] [MESON OPTION...]: configures once, then lets ninja find what has changed.
# The environment's CC counts when the directory is configured; by way of ccache where that is installed, which knows a
# file again in another clone.
setup_build() {
	local directory=$ROOT/$1 log=$ROOT/$1.log targets=() compiler=${CC:-cc}
	shift
	while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
		targets+=("$1")
		shift
	done
	[ "${1-}" != -- ] || shift
	if [ ! -e "$directory/build.ninja" ]; then
		setup_note "configuring ${directory##*/}"
		rm -rf "$directory"
		! command -v ccache >/dev/null || compiler="ccache $compiler"
		CC=$compiler /usr/bin/meson setup "$directory" "$ROOT" "$@" >"$log" 2>&1 || {
			tail -30 "$log" >&2
			setup_fail "meson setup failed"
		}
	fi
	setup_note "building ${directory##*/}"
	CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1 ninja -C "$directory" "${targets[@]}" >"$log" 2>&1 || {
		grep -A15 -E 'FAILED|error:|ERROR' "$log" | head -60 >&2
		setup_fail "the build failed (${log##*/})"
	}
	rm -f "$log"
}
