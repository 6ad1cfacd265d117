# Completion of bwrap for bash, made from the flags' records.
_bwrap() {
    local word="${COMP_WORDS[COMP_CWORD]}"
    local flag back
    for back in 1 2 3; do
        flag="${COMP_WORDS[COMP_CWORD-back]}"
        case "$back $flag" in
            "1 --lock-file" | "1 --bind" | "1 --bind-try" | "1 --dev-bind" | "1 --dev-bind-try" | "1 --ro-bind" | "1 --ro-bind-try" | "1 --overlay-src" | "1 --overlay" | "1 --enclos-report")
                COMPREPLY=($(compgen -f -- "$word"))
                return ;;
            "1 --args" | "1 --userns" | "1 --userns2" | "1 --pidns" | "1 --sync-fd" | "1 --block-fd" | "1 --userns-block-fd" | "1 --info-fd" | "1 --json-status-fd" | "1 --bind-fd" | "1 --ro-bind-fd" | "1 --file" | "1 --bind-data" | "1 --ro-bind-data" | "1 --seccomp" | "1 --add-seccomp-fd")
                COMPREPLY=($(compgen -W "0 1 2 3 4 5 6 7 8 9" -- "$word"))
                return ;;
            "1 --cap-add" | "1 --cap-drop")
                COMPREPLY=($(compgen -W "ALL CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE" -- "$word"))
                return ;;
            "1 --argv0" | "1 --uid" | "1 --gid" | "1 --hostname" | "1 --chdir" | "1 --setenv" | "1 --unsetenv" | "1 --perms" | "1 --size" | "1 --remount-ro" | "1 --proc" | "1 --dev" | "1 --tmpfs" | "1 --mqueue" | "1 --dir" | "1 --symlink" | "1 --chmod" | "1 --tmp-overlay" | "1 --ro-overlay" | "1 --exec-label" | "1 --file-label" | "1 --enclos-limits")
                COMPREPLY=()
                return ;;
            "2 --overlay")
                COMPREPLY=($(compgen -f -- "$word"))
                return ;;
            "2 --setenv" | "2 --bind" | "2 --bind-try" | "2 --dev-bind" | "2 --dev-bind-try" | "2 --ro-bind" | "2 --ro-bind-try" | "2 --bind-fd" | "2 --ro-bind-fd" | "2 --file" | "2 --bind-data" | "2 --ro-bind-data" | "2 --symlink" | "2 --chmod")
                COMPREPLY=()
                return ;;
            "3 --overlay")
                COMPREPLY=()
                return ;;
        esac
    done
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "--help --version --args --argv0 --level-prefix --unshare-all --share-net --unshare-user --unshare-user-try --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup --unshare-cgroup-try --userns --userns2 --disable-userns --assert-userns-disabled --pidns --uid --gid --hostname --chdir --clearenv --setenv --unsetenv --lock-file --sync-fd --block-fd --userns-block-fd --info-fd --json-status-fd --perms --size --bind --bind-try --dev-bind --dev-bind-try --ro-bind --ro-bind-try --bind-fd --ro-bind-fd --remount-ro --proc --dev --tmpfs --mqueue --dir --file --bind-data --ro-bind-data --symlink --chmod --overlay-src --overlay --tmp-overlay --ro-overlay --seccomp --add-seccomp-fd --exec-label --file-label --new-session --die-with-parent --as-pid-1 --cap-add --cap-drop --enclos-report --enclos-limits" -- "$word"))
    else
        COMPREPLY=($(compgen -c -- "$word"))
    fi
}
complete -F _bwrap bwrap
