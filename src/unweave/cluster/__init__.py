"""A corpus that lies in shards, worked on by one process or by the workers of a Ray cluster.

A shard is some ten thousand passages. What is made of it are the artefacts that a project of these passages alone would
have, made by the same stages and kept in a store: a folder that all machines see, or an object store. So whoever makes
a shard, and how often it is tried, its files are the same, and a shard is done when the note of its stage is there.

    workers     where work runs: in this process, or on Ray
    store       artefacts in a folder or in an object store
    sources     the files of a corpus, wherever they lie, cut into shards
    shards      which shards there are, what was done of each
    stages      embed, encode and index a shard
    gathering   passages of all shards as one project, to learn and to name concepts from
    strongest   which passages of all shards activate each latent
    checking    every byte of what was made, compared with what was written
    scratch     folders for a while, of which nothing stays when their process is killed
    copies      artefacts of a store on this machine's disk, while they are read
    holding     opened segments, and what they find
    reaching    who holds them, in this process or on Ray
    states      which shards are searched, and how that changes while queries run
    searching   a query to all segments, the best of what they find
    sharded     all of that as the verbs of a project

And `unweave plan`: `plan` puts together what a corpus of any size takes, from measured `rates`, `encoders`,
`assumptions`, `sizes`, the `order` of stages and `limits`; `simulation` draws searches of many machines, and
`calibration` measures this one.
"""
