cat > parent.py <<'END'
import os, sys, time
r, w = os.pipe()
os.set_inheritable(r, True)
pid = os.fork()
if pid == 0:
    os.close(w)
    os.execv(sys.argv[1], ["bwrap", "--args", str(r)] + sys.argv[3:])
# It has begun and waits for its arguments.
while True:
    name, state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)
    if name.endswith(("(bwrap", "(enclos")) and state.split()[0] == "S":
        break
os.write(w, b"--die-with-parent\0")
os.close(w)
time.sleep(float(sys.argv[2]))
os.kill(os.getpid(), 9)
END
i=0
while [ $i -lt 60 ]; do
    for more in '' --unshare-all '--unshare-pid --as-pid-1' '--lock-file /usr/bin/sh'; do
        /usr/bin/python3 parent.py $B 0.00$((i / 10))$((i % 10)) --bind / / $more /usr/bin/tail -f $W/file
    done
    i=$((i + 4))
done >/dev/null 2>&1
# The kernel kills at once, but what is killed is not gone at once.
n=0
while pgrep -f "tail -f $W/file" >/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
pgrep -fa "tail -f $W/file"
true
