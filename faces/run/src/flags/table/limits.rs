//! Flags that bound what the command may use.

use crate::flags::{Complete, Flag, Takes, value};
use crate::run::request::Request;

const TIME: Takes = Takes::Value("TIME", Complete::Nothing);
const SIZE: Takes = Takes::Value("SIZE", Complete::Nothing);
const COUNT: Takes = Takes::Value("COUNT", Complete::Nothing);

/// A limit is a record whose only own parts are its name, its words and the field it writes.
macro_rules! limit {
    ($name:literal, $field:ident, $takes:expr, $read:path, default: $default:literal, help: $help:literal, more: $more:literal) => {
        Flag {
            name: $name,
            takes: $takes,
            key: Some($name),
            default: $default,
            adds: false,
            help: $help,
            more: $more,
            apply: |request, v| {
                request.policy.$field = $read(v)?;
                Ok(())
            },
        }
    };
}

pub const FLAGS: &[Flag<Request>] = &[
    limit!("wall", wall, TIME, value::bound, default: "unlimited",
        help: "End it after this long by the clock on the wall",
        more: "Verdict IDLENESS."),
    limit!("idle", idle, TIME, value::bound, default: "unlimited",
        help: "End it after this long without output and without using the CPU",
        more: "Verdict IDLENESS."),
    limit!("cpu", cpu, TIME, value::bound, default: "unlimited",
        help: "End it after this much CPU time, of all its processes together",
        more: "Processes that have ended count too. Verdict TIMED_OUT."),
    limit!("memory", memory, SIZE, value::bound, default: "unlimited",
        help: "Bound the memory of all its processes together",
        more: "Counts anonymous memory, page cache, kernel memory, swap and what lies in /tmp and the other private directories. At the bound the kernel \
               ends a process of the command: verdict OUT_OF_MEMORY."),
    limit!("disk", disk, SIZE, value::bound, default: "1GiB",
        help: "Bound the bytes in all private writable directories together",
        more: "A write beyond it fails with ENOSPC; where the command fails of that, the verdict is DISK_LIMIT."),
    limit!("inodes", inodes, COUNT, value::count, default: "262144",
        help: "Bound the files and directories in all private writable directories",
        more: ""),
    limit!("output", output, SIZE, value::bound, default: "unlimited",
        help: "End it when one of its output streams carries more than this",
        more: "What came before is passed on. Verdict OUTPUT_LIMIT."),
    limit!("processes", processes, COUNT, value::count, default: "4096",
        help: "Bound the processes and threads alive at once",
        more: "Beyond it, fork and pthread_create fail with EAGAIN."),
    limit!("file-size", file_size, SIZE, value::bound, default: "unlimited",
        help: "Bound the size of each file it writes",
        more: "RLIMIT_FSIZE."),
    limit!("open-files", open_files, COUNT, value::count, default: "4096",
        help: "Bound the open files of each process",
        more: "RLIMIT_NOFILE."),
    limit!("stack", stack, SIZE, value::bound, default: "yours",
        help: "Bound the stack of each process",
        more: "RLIMIT_STACK. Recursion-heavy programs may want more than the usual 8M: --stack unlimited."),
    limit!("cpu-quota", cpu_quota, Takes::Value("CPUS", Complete::Nothing), value::bound, default: "unlimited",
        help: "Bound the CPU time of all its processes together, in CPUs, e.g. 0.5",
        more: "Held in each tenth of a second; what wants more waits. Needs the cpu controller."),
    Flag {
        name: "cpu-shares",
        takes: COUNT,
        key: Some("cpu-shares"),
        default: "1024",
        adds: false,
        help: "Weight against others where CPUs are short, from 2 to 262144",
        more: "As cpu.shares; on cgroup v2 as cpu.weight, where 1024 is 100. Needs the cpu controller.",
        apply: |request, v| {
            request.policy.cpu_shares = Some(value::shares(v)?);
            Ok(())
        },
    },
    Flag {
        name: "cpus",
        takes: Takes::Value("LIST", Complete::Nothing),
        key: Some("cpus"),
        default: "all",
        adds: false,
        help: "Run it on these CPUs only, e.g. 0-1,3",
        more: "",
        apply: |request, v| {
            request.policy.cpus = Some(value::policy(v)?);
            Ok(())
        },
    },
];
