//! Names the SDK's version, which it keeps to itself.

fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").expect("Cargo.lock");
    let rest = lock.split("name = \"aws-sdk-s3\"\nversion = \"").nth(1).expect("aws-sdk-s3");
    println!("cargo:rustc-env=SDK_VERSION={}", rest.split('"').next().unwrap());
    println!("cargo:rerun-if-changed=Cargo.lock");
}
