# A work directory whose scripts show what the sandbox is, in place of benchmarks that take minutes.
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example GIT_CONFIG_GLOBAL=/dev/null
cat > config.toml <<'END'
dir = "./work-directory"
upload = ""
ssh_key = ""
hostname = "bench"
copy_files = ["file"]
expose = ["/etc/alternatives", "/no-such-directory", "/usr", "/bin", "/lib", "/lib64"]
[scripts]
preamble = "set -e -o pipefail"
setup = "echo once >> set-up"
run = """
exec > /home/results/seen
echo "arguments $*"
echo "directory $PWD home $HOME temporary $TMPDIR"
echo "host $(hostname)"
echo "user $(id -u)"
echo "session $(ps -o sid= -p $$ | grep -vc "^ *0$")"
cat set-up file
ls asv-bwrap-scripts
touch /usr/new 2>/dev/null || echo "programs are read-only"
test -e /tmp || echo "no directory of the host"
grep Seccomp: /proc/self/status
kill -0 $PPID && echo "parent $PPID"
echo page > /home/html/index.html
"""
END
program 0 asv_bwrap config.toml run --quick
program 0 asv_bwrap config.toml run --quick
cd work-directory/results
cat results/seen
git log --format=%s master
git log --format=%s gh-pages
git ls-tree -r --name-only gh-pages
# Its own check of what a script's failure is.
cd "$W"
sed -i 's/^exec > .*/exit 7/' config.toml
program 1 asv_bwrap config.toml run
grep -o 'command exit status 7' log
sort -u out/calls
