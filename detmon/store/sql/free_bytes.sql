-- Room in the file that later rows will take.
SELECT free_blocks * block_size FROM pragma_database_size()
