// Until the commands call it.
#![allow(dead_code, unused_imports)]

mod report;
mod result;

fn main() {}
