# A project of two elements: a static busybox as the root, and a build on top of it.
export XDG_CACHE_HOME="$HOME/cache" XDG_CONFIG_HOME="$HOME/config"
# An ordinary user mounts FUSE only with the help of fusermount3, which nobody asked for here.
[ "$(id -u)" = 0 ] && [ -w /dev/fuse ] || export BUILDBOX_STAGER=copy-or-link
mkdir -p p/elements p/base/bin p/source
cd p
printf 'name: small\nmin-version: 2.0\nelement-path: elements\n' > project.conf
cp /usr/bin/busybox base/bin/
for applet in sh cat grep hostname id mkdir rm touch; do ln -s busybox base/bin/$applet; done
echo hello > source/hello.txt
printf 'kind: import\nsources:\n- kind: local\n  path: base\n' > elements/base.bst
cat > elements/hello.bst <<'END'
kind: manual
build-depends:
- base.bst
sources:
- kind: local
  path: source
config:
  build-commands:
  - cat hello.txt > out
  - echo "user $(id -u)" >> out
  - echo "host $(hostname)" >> out
  - echo "interfaces $(grep -c '[a-z]:' /proc/net/dev)" >> out
  - echo "processes of others $(grep -l casd /proc/[0-9]*/comm | grep -c .)" >> out
  - echo "without capabilities $(grep -c '^Cap.*0000000000000000$' /proc/self/status)" >> out
  - test ! -e /usr || echo "the host's files are here" >> out
  install-commands:
  - mkdir -p "%{install-root}"
  - cat out > "%{install-root}/out"
END
sed 's/- cat hello.txt > out/- exit 3/' elements/hello.bst > elements/failing.bst
program 0 buildstream --no-colors build hello.bst
program 0 buildstream --no-colors artifact checkout --directory "$W/out/artifact" hello.bst
cat "$W/out/artifact/out"
program 255 buildstream --no-colors build failing.bst
grep -o "failed with exitcode 3$" "$W/log" | sort -u
sort -u "$W/out/calls"
