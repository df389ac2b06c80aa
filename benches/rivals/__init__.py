"""One file for each rival, run in an interpreter that has it by benches.rival_process."""
