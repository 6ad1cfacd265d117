# Completions of enclos for fish, written by `enclos completions fish`.

# Where the operands of `enclos COMMAND` begin (the index of a word), or nothing while the cursor is among the flags.
function __enclos_operands
    set -l words (commandline -opc)
    set -l at 3
    while test $at -le (count $words)
        switch $words[$at]
            case --
                echo (math $at + 1)
                return
            case --ro --rw --bind --overlay --hide --tmpfs --root --dev --workdir --env --keep-env --hostname --uid --gid --ids --net --wall --idle --cpu --memory --disk --inodes --output --processes --file-size --open-files --stack --cpu-quota --cpu-shares --cpus --stdin --stdout --stderr --seccomp --landlock --policy
                set at (math $at + 2)
            case '-*'
                set at (math $at + 1)
            case '*'
                echo $at
                return
        end
    end
end

function __enclos_flags -a command
    set -l words (commandline -opc)
    test (count $words) -ge 2 -a "$words[2]" = $command -a -z "$(__enclos_operands)"
end

function __enclos_inner
    set -l words (commandline -opc)
    test (count $words) -ge 2 -a "$words[2]" = run -a -n "$(__enclos_operands)"
end

function __enclos_rest
    set -l words (commandline -opc) (commandline -ct)
    __fish_complete_subcommand --commandline $words[(__enclos_operands)..]
end

complete -c enclos -n __fish_use_subcommand -f -a run -d 'Run a command confined, limited and measured'
complete -c enclos -n __fish_use_subcommand -f -a doctor -d 'Say what this host can enforce, what is missing, and the remedy'
complete -c enclos -n __fish_use_subcommand -f -a bwrap -d 'Do what bubblewrap does, with its command line'
complete -c enclos -n __fish_use_subcommand -f -a completions -d 'Write completions for bash, zsh or fish: completions SHELL [DIR]'
complete -c enclos -n __fish_use_subcommand -f -a man -d 'Write the manual page, or all of them into a directory: man [DIR]'
complete -c enclos -n __fish_use_subcommand -f -a serve -d 'Serve every face'
complete -c enclos -n __fish_use_subcommand -f -a judge -d 'Serve programming contests and courses'
complete -c enclos -n __fish_use_subcommand -f -a agent -d 'Serve workspaces and shells for AI agents'
complete -c enclos -n __fish_use_subcommand -f -a build -d 'Run build actions'
complete -c enclos -n __fish_use_subcommand -f -a bench -d 'Benchmark every commit'

complete -c enclos -n '__enclos_flags run' -l ro -r -F -d 'Show a file or directory of the host, read-only'
complete -c enclos -n '__enclos_flags run' -l rw -r -F -d 'Show a file or directory of the host, writable'
complete -c enclos -n '__enclos_flags run' -l bind -r -F -d 'Show the host\'s SRC, writable, as DST'
complete -c enclos -n '__enclos_flags run' -l overlay -x -a '(__fish_complete_directories)' -d 'Show a directory that looks writable; the host\'s stays as it is'
complete -c enclos -n '__enclos_flags run' -l hide -r -F -d 'Cover a path by nothing readable'
complete -c enclos -n '__enclos_flags run' -l tmpfs -x -a '(__fish_complete_directories)' -d 'Put a fresh, private, bounded directory at a path'
complete -c enclos -n '__enclos_flags run' -l root -x -a '(__fish_complete_directories)' -d 'Use a root file system of its own, read-only'
complete -c enclos -n '__enclos_flags run' -l dev -r -F -d 'Show a device of the host, e.g. /dev/kvm'
complete -c enclos -n '__enclos_flags run' -l no-cwd -d 'Do not show the current directory'
complete -c enclos -n '__enclos_flags run' -l workdir -x -a '(__fish_complete_directories)' -d 'Start in this directory'
complete -c enclos -n '__enclos_flags run' -l env -x -d 'Set a variable'
complete -c enclos -n '__enclos_flags run' -l keep-env -x -a '(set --names --export)' -d 'Pass a variable of yours on, if it is set'
complete -c enclos -n '__enclos_flags run' -l hostname -x -d 'Name the machine inside'
complete -c enclos -n '__enclos_flags run' -l uid -x -d 'Be this user inside'
complete -c enclos -n '__enclos_flags run' -l gid -x -d 'Be of this group inside'
complete -c enclos -n '__enclos_flags run' -l ids -x -a 'auto own range' -d 'Choose who stands behind the command on the host'
complete -c enclos -n '__enclos_flags run' -l net -x -a 'none loopback host' -d 'Choose what it sees of the network'
complete -c enclos -n '__enclos_flags run' -l wall -x -d 'End it after this long by the clock on the wall'
complete -c enclos -n '__enclos_flags run' -l idle -x -d 'End it after this long without output and without using the CPU'
complete -c enclos -n '__enclos_flags run' -l cpu -x -d 'End it after this much CPU time, of all its processes together'
complete -c enclos -n '__enclos_flags run' -l memory -x -d 'Bound the memory of all its processes together'
complete -c enclos -n '__enclos_flags run' -l disk -x -d 'Bound the bytes in all private writable directories together'
complete -c enclos -n '__enclos_flags run' -l inodes -x -d 'Bound the files and directories in all private writable directories'
complete -c enclos -n '__enclos_flags run' -l output -x -d 'End it when one of its output streams carries more than this'
complete -c enclos -n '__enclos_flags run' -l processes -x -d 'Bound the processes and threads alive at once'
complete -c enclos -n '__enclos_flags run' -l file-size -x -d 'Bound the size of each file it writes'
complete -c enclos -n '__enclos_flags run' -l open-files -x -d 'Bound the open files of each process'
complete -c enclos -n '__enclos_flags run' -l stack -x -d 'Bound the stack of each process'
complete -c enclos -n '__enclos_flags run' -l cpu-quota -x -d 'Bound the CPU time of all its processes together, in CPUs, e.g. 0.5'
complete -c enclos -n '__enclos_flags run' -l cpu-shares -x -d 'Weight against others where CPUs are short, from 2 to 262144'
complete -c enclos -n '__enclos_flags run' -l cpus -x -d 'Run it on these CPUs only, e.g. 0-1,3'
complete -c enclos -n '__enclos_flags run' -l tty -d 'Give it a private terminal, with job control and resizing'
complete -c enclos -n '__enclos_flags run' -l no-tty -d 'Give it no terminal of its own'
complete -c enclos -n '__enclos_flags run' -l stdin -r -F -d 'Let it read this file'
complete -c enclos -n '__enclos_flags run' -l stdout -r -F -d 'Write its output to this file, made anew'
complete -c enclos -n '__enclos_flags run' -l stderr -r -F -d 'Write its messages to this file, made anew'
complete -c enclos -n '__enclos_flags run' -l seccomp -x -a 'default log none' -d 'Choose the system call filter'
complete -c enclos -n '__enclos_flags run' -l landlock -x -a 'on off' -d 'Choose whether Landlock stands behind the mounts as a second wall'
complete -c enclos -n '__enclos_flags run' -l best-effort -d 'Weaken what this host cannot enforce instead of refusing'
complete -c enclos -n '__enclos_flags run' -l policy -r -F -d 'Read a policy file (TOML) first'
complete -c enclos -n '__enclos_flags run' -l report -d 'Say how it ended and what it used: on stderr, or as JSON in FILE'
complete -c enclos -n '__enclos_flags run' -l json -d 'Write --report and --explain as JSON'
complete -c enclos -n '__enclos_flags run' -l explain -d 'Print what would be done, step by step, and run nothing'
complete -c enclos -n '__enclos_flags run' -l help -d 'The whole help'
complete -c enclos -n '__enclos_flags doctor' -l json -d 'Write JSON'
complete -c enclos -n '__enclos_flags doctor' -l help -d 'The whole help'
complete -c enclos -n '__enclos_flags run' -x -a '(__fish_complete_command)'
complete -c enclos -n '__enclos_inner' -x -a '(__enclos_rest)'
complete -c enclos -n '__fish_seen_subcommand_from doctor' -f
complete -c enclos -n '__fish_seen_subcommand_from completions' -f -a 'bash zsh fish'
complete -c enclos -n '__fish_seen_subcommand_from man' -x -a '(__fish_complete_directories)'
