# Somebody who may write in a bound directory swaps a directory for links that lead out, while sandboxes are set up that have destinations below it.
touch go
(while [ -e go ]; do
    for target in "/oldroot$W/out" "../../../../../../../../$W/out" "$W/out"; do
        mkdir dir/l; rmdir dir/l; ln -s "$target" dir/l; rm -f dir/l
    done
done) 2>/dev/null &
i=0
while [ $i -lt 40 ]; do
    $B $RO --bind $W/dir /x --dir /x/l/made --file 3 /x/l/file --bind $W/low1 /x/l/bound --symlink a /x/l/link --chmod 0777 /x/l true 3<file 2>/dev/null
    rm -rf dir/l 2>/dev/null
    i=$((i + 1))
done
rm go
wait
ls out
[ "$(stat -c %a out)" = 755 ] || echo the mode of out
ls -d /made /file /bound /link 2>/dev/null
true
