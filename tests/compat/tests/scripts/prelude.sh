# A caller of `bwrap` finds it first on its PATH; that it was called shows in $W/out/calls.
mkdir first home
cat > first/bwrap <<END
#!/bin/sh
echo called >> $W/out/calls
exec $B "\$@"
END
chmod 755 first/bwrap
export PATH="$W/first:$PATH" HOME="$W/home"
# Runs a program of PyPI; what it says is shown only when it ends otherwise than expected.
program() {
    wanted=$1
    shift
    "$PROGRAMS/bin/python3" -m "$@" > "$W/log" 2>&1 < /dev/null
    status=$?
    [ $status = "$wanted" ] || { echo "$* ended with $status:"; tail -n 60 "$W/log"; find "$HOME" -name '*build*.log' -exec cat {} +; }
}
