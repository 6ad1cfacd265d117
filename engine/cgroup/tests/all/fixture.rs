//! A made-up host: directories that look like hierarchies, and the two texts that describe them.

use std::path::{Path, PathBuf};

use enclos_cgroup::{Host, ProcView, Restrict};

/// A made-up host below a temporary directory.
pub struct Fixture {
    root: tempfile::TempDir,
    mountinfo: Vec<String>,
    cgroup: Vec<String>,
}

impl Fixture {
    pub fn new() -> Self {
        let other = ["22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw", "23 22 0:21 / /proc rw - proc proc rw"];
        Fixture { root: tempfile::tempdir().unwrap(), mountinfo: other.map(str::to_owned).to_vec(), cgroup: Vec::new() }
    }

    /// A v1 hierarchy mounted at `point`, with us in group `own`.
    pub fn v1(mut self, point: &str, controllers: &str, own: &str) -> Self {
        self.mount(point, "/", &format!("cgroup cgroup rw,{controllers}"), "rw,nosuid");
        let id = self.cgroup.len() + 1;
        self.cgroup.push(format!("{id}:{controllers}:{own}"));
        self.dir(&format!("{point}{own}"));
        self
    }

    /// The v2 tree mounted at `point`, with us in group `own`; each line of `groups` is a path, its controllers and what of them it passes on.
    pub fn v2(mut self, point: &str, own: &str, groups: &[(&str, &str, &str)]) -> Self {
        self.mount(point, "/", "cgroup2 cgroup2 rw,nsdelegate", "rw");
        self.cgroup.push(format!("0::{own}"));
        for (path, controllers, passed_on) in groups {
            let dir = self.dir(&format!("{point}{path}"));
            std::fs::write(dir.join("cgroup.controllers"), format!("{controllers}\n")).unwrap();
            std::fs::write(dir.join("cgroup.subtree_control"), format!("{passed_on}\n")).unwrap();
            std::fs::write(dir.join("cgroup.procs"), if path == &own { "1234\n" } else { "" }).unwrap();
            if *path != "/" {
                std::fs::write(dir.join("cgroup.type"), "domain\n").unwrap();
            }
        }
        self
    }

    /// A line of mountinfo; `point` is below the fixture's root.
    pub fn mount(&mut self, point: &str, root: &str, tail: &str, options: &str) {
        let escape = |text: &str| text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
        let at = escape(self.path(point).to_str().unwrap());
        let id = self.mountinfo.len() + 22;
        self.mountinfo.push(format!("{id} 22 0:{id} {} {at} {options} shared:{id} - {tail}", escape(root)));
    }

    /// A line of `/proc/self/cgroup`.
    pub fn member(&mut self, line: &str) {
        self.cgroup.push(line.to_owned());
    }

    pub fn dir(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
    }

    pub fn path(&self, path: &str) -> PathBuf {
        match path.trim_matches('/') {
            "" => self.root.path().to_owned(),
            inside => self.root.path().join(inside),
        }
    }

    pub fn view(&self) -> ProcView {
        ProcView {
            mountinfo: (self.mountinfo.join("\n") + "\n").into_bytes(),
            cgroup: (self.cgroup.join("\n") + "\n").into_bytes(),
            restrict: Restrict::Nothing,
        }
    }

    pub fn host(&self) -> Host {
        Host::detect(&self.view())
    }

    /// `path` without the temporary directory, for comparing.
    pub fn inside(&self, path: &Path) -> String {
        format!("/{}", path.strip_prefix(self.root.path()).unwrap().display())
    }
}
