"""One file a rival. Each runs in an interpreter that has it; `benches.rival_process` starts them and gives them turns."""
