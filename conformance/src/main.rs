mod result;

fn main() {}
