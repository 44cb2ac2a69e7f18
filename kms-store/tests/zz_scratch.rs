mod small_disk;
use kms_store::raw::{Batch, RawError, RawKv, Write};
use kms_store::sled_kv::{SledKv, SledOptions};
use small_disk::SmallDisk;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn scratch() {
    let disk = SmallDisk::new(24 * 1024);
    let kv = std::sync::Arc::new(SledKv::open(&disk.path().join("store"), SledOptions { cache_capacity: 4 << 20 }).unwrap());
    let (mut full, mut fine) = (0, 0);
    for r in 0..4u64 { let kv = kv.clone(); std::thread::spawn(move || { let mut i = r; loop { i += 1; let _ = kv.get(&(i % 181).to_be_bytes()).unwrap(); } }); }
    let (count, size) = (std::env::var("COUNT").unwrap().parse::<u64>().unwrap(), std::env::var("SIZE").unwrap().parse::<usize>().unwrap());
    for round in 0..600u64 {
        let filler = disk.fill_except(4096 * (round * 7 % 180));
        let (send, receive) = mpsc::channel();
        let kv2 = kv.clone();
        std::thread::spawn(move || {
            let writes = (0..count).map(|i| Write::Put { key: (i * 7919 % 181).to_be_bytes().to_vec(), value: vec![round as u8; size] }).collect();
            send.send(kv2.commit(&Batch { expect: Vec::new(), writes }))
        });
        match receive.recv_timeout(Duration::from_secs(20)) {
            Ok(Ok(_)) => fine += 1,
            Ok(Err(RawError::Full | RawError::TakenBack)) => full += 1,
            Ok(Err(other)) => { eprintln!("round {round}: {other:?}"); std::process::exit(5) }
            Err(_) => { eprintln!("HANG in round {round}, {fine} fine, {full} full"); std::process::exit(6) }
        }
        filler.remove();
        kv.commit(&Batch { expect: Vec::new(), writes: vec![Write::Put { key: b"x".to_vec(), value: vec![1] }] }).ok();
    }
    eprintln!("{fine} fine {full} full");
}
