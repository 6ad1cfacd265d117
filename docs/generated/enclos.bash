# Completions of enclos for bash, written by `enclos completions bash`.

_enclos() {
    local cur prev at word attached=
    # Readline breaks words at "=": put "--flag=value" together again.
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $cur == "=" ]]; then
        cur=
        attached=1
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
        attached=1
    fi
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'run doctor bwrap completions man serve judge agent build bench --help --version' -- "$cur")
        return
    fi
    case ${COMP_WORDS[1]} in
    run)
        at=2
        while ((at < COMP_CWORD)); do
            word=${COMP_WORDS[at]}
            case $word in
            --) at=$((at + 1)); break ;;
            --ro | --rw | --bind | --overlay | --hide | --tmpfs | --root | --dev | --workdir | --env | --keep-env | --hostname | --uid | --gid | --ids | --net | --wall | --idle | --cpu | --memory | --disk | --inodes | --output | --processes | --file-size | --open-files | --stack | --cpu-quota | --cpu-shares | --cpus | --stdin | --stdout | --stderr | --seccomp | --landlock | --policy) [[ ${COMP_WORDS[at + 1]} == "=" ]] && at=$((at + 3)) || at=$((at + 2)) ;;
            -*) [[ ${COMP_WORDS[at + 1]} == "=" ]] && at=$((at + 3)) || at=$((at + 1)) ;;
            *) break ;;
            esac
        done
        if ((at < COMP_CWORD)); then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
        fi
        if [[ ${COMP_WORDS[at - 1]} == "--" ]]; then
            mapfile -t COMPREPLY < <(compgen -c -- "$cur")
            return
        fi
        case $prev in
        --ro | --rw | --bind | --hide | --dev | --stdin | --stdout | --stderr | --policy)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --overlay | --tmpfs | --root | --workdir)
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            return
            ;;
        --keep-env)
            mapfile -t COMPREPLY < <(compgen -e -- "$cur")
            return
            ;;
        --ids)
            mapfile -t COMPREPLY < <(compgen -W 'auto own range' -- "$cur")
            return
            ;;
        --net)
            mapfile -t COMPREPLY < <(compgen -W 'none loopback host' -- "$cur")
            return
            ;;
        --seccomp)
            mapfile -t COMPREPLY < <(compgen -W 'default log none' -- "$cur")
            return
            ;;
        --landlock)
            mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$cur")
            return
            ;;
        --env | --hostname | --uid | --gid | --wall | --idle | --cpu | --memory | --disk | --inodes | --output | --processes | --file-size | --open-files | --stack | --cpu-quota | --cpu-shares | --cpus) return ;;
        esac
        if [[ $prev == --report && -n $attached ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
        fi
        [[ $cur == -* || -z $cur ]] && mapfile -t COMPREPLY < <(compgen -W '--ro --rw --bind --overlay --hide --tmpfs --root --dev --no-cwd --workdir --env --keep-env --hostname --uid --gid --ids --net --wall --idle --cpu --memory --disk --inodes --output --processes --file-size --open-files --stack --cpu-quota --cpu-shares --cpus --tty --no-tty --stdin --stdout --stderr --seccomp --landlock --best-effort --policy --report --json --explain --help' -- "$cur") || mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        ;;
    doctor)
        case $prev in
        esac
        [[ $cur == -* || -z $cur ]] && mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$cur")
        ;;
    completions) mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- "$cur") ;;
    man) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    esac
}

complete -o filenames -F _enclos enclos
