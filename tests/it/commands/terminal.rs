//! A terminal, as a person sits at one.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Runs a program at a terminal at which a person types `input`. Returns what the terminal showed, and the exit status.
pub(super) fn at_terminal(mut program: Command, input: &str) -> (String, i32) {
    let mut person = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("open a terminal"));
    grantpt(&person).expect("own the terminal");
    unlockpt(&person).expect("unlock the terminal");
    let path = ptsname(&person, Vec::new()).expect("name the terminal").into_string().expect("it is UTF-8");
    let terminal = OwnedFd::from(File::options().read(true).write(true).open(path).expect("open the terminal"));
    let end = || Stdio::from(terminal.as_fd().try_clone_to_owned().expect("share the terminal"));
    program.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm");
    person.write_all(input.as_bytes()).expect("type");
    let mut child = program.spawn().expect("start the program");
    // The command holds copies of its own.
    drop((program, terminal));
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    // When nobody has the terminal open any more, reading fails.
    while let Ok(count @ 1..) = person.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
    }
    let status = child.wait().expect("wait for the program");
    (String::from_utf8(shown).expect("it shows UTF-8"), status.code().expect("it was not killed"))
}
