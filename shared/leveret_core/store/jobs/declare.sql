-- Puts a declaration in force and remembers the one before, and 50 in all. $1 job id, $2 digest
update job
set declaration = $2,
    former_declarations = (
        select coalesce(array_agg(f.digest order by f.n), '{}')
        from (
            select digest, n from unnest(former_declarations || declaration) with ordinality as u (digest, n)
            where digest is not null and digest <> $2
            order by n desc limit 50
        ) f
    )
where id = $1
