//! What the tests share: a folder that vanishes, and the program in it.

use std::{
    env, fs,
    io::Write,
    path::PathBuf,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_oncall-webhooks"))
}

/// A folder of this test alone.
pub(crate) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The output of a run, and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: i32,
}

impl Ran {
    pub(crate) fn new(status: i32, stdout: &str, stderr: &str) -> Self {
        Self { stdout: stdout.to_owned(), stderr: stderr.to_owned(), status }
    }
}

impl Folder {
    /// With these files, in folders of theirs where their names have a slash.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("oncall-webhooks-cli-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).expect("make a folder");
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("make a folder");
        fs::write(path, bytes).expect("write a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("read a file")
    }

    /// Runs the program in the folder, with the words of `args`.
    pub(crate) fn run(&self, args: &str) -> Ran {
        self.pipe(&args.split_whitespace().collect::<Vec<_>>(), b"")
    }

    /// The same with `input` on standard input.
    pub(crate) fn pipe(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut child = program()
            .args(args)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the program");
        // What does not read its input closes it.
        let _ = child.stdin.take().expect("it is piped").write_all(input);
        let output = child.wait_with_output().expect("wait for the program");
        let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
        Ran {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            status: output.status.code().expect("it was not killed"),
        }
    }
}

/// A Webhook named `name` that POSTs nothing to `http://receiver.example`, with more lines of its spec.
pub(crate) fn webhook(name: &str, trigger: &str, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "---\napiVersion: oncall.dev/v1alpha1\nkind: Webhook\nmetadata:\n  name: {name}\nspec:\n  triggerType: {trigger}\n{more}"
    )
}

/// An AlertGroupEvent named `name` of alert group I1, with more lines of its spec.
pub(crate) fn event(name: &str, type_: &str, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "---\napiVersion: oncall.dev/v1alpha1\nkind: AlertGroupEvent\nmetadata:\n  name: {name}\nspec:\n  type: {type_}\n  alertGroup: {{id: I1}}\n{more}"
    )
}

/// A labelled Secret with one key.
pub(crate) fn secret(name: &str, key: &str, value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  labels: {{oncall.dev/secret: \"true\"}}\nstringData: {{{key}: {value:?}}}\n"
    )
}
