//! Files with secrets, and randomness.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};

pub fn read(path: &Path, make_it: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("can't read {}: {error}; {make_it}", path.display()))
}

/// Reads a file with secrets; refuses one that other users could read too.
pub fn read_private(path: &Path, make_it: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("can't read {}: {error}; {make_it}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(format!("other users can read {path} (mode {mode:03o}); run: chmod 600 '{path}'"));
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Creates a file that only its owner may read. Fails if it exists.
pub fn create(path: &Path) -> Result<File, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{} already exists, and is never overwritten; move it, or choose another name", path.display())
        }
        _ => format!("can't write {}: {error}", path.display()),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(failed)
}

/// Writes a new file that only its owner may read. Fails if it exists.
pub fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = fs::remove_file(path);
        format!("can't write {}: {error}", path.display())
    })
}

/// Writes or replaces, atomically, a file that only its owner may read.
pub fn replace(path: &Path, text: &str) -> Result<(), String> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    // A file left by an earlier run may have other permissions.
    let _ = fs::remove_file(&fresh);
    write_new(&fresh, text)?;
    fs::rename(&fresh, path).map_err(|error| format!("can't write {}: {error}", path.display()))
}

pub fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("can't get random bytes from the operating system: {error}"))?;
    Ok(bytes)
}

pub fn base64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Random hexadecimal digits, to make a name unique.
pub fn suffix<const N: usize>() -> Result<String, String> {
    Ok(data_encoding::HEXLOWER.encode(&random::<N>()?))
}
