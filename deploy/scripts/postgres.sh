# shellcheck shell=sh
# Read by backup and restore: how Postgres is reached, and how a failure is told. Wants NAME, and makes $scratch.

die() {
    echo "$NAME: $*" >&2
    exit 1
}

misused() {
    echo "$NAME: $*; see $NAME --help" >&2
    exit 2
}

# A folder that goes with the script, and whatever it was writing aside.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/brs-$NAME-XXXXXX")
aside=""
tidy() {
    rm -rf "$scratch"
    [ -z "$aside" ] || rm -rf "$aside"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run WHAT COMMAND...: one line when it fails.
run() {
    what=$1
    shift
    "$@" 2>"$scratch/errors" || die "$what failed: $(reason)"
}

reason() {
    said=$(grep -E 'error:|ERROR:|FATAL:' "$scratch/errors" | tail -n 1) || said=$(tail -n 1 "$scratch/errors")
    printf '%s' "${said:-it says nothing}"
}

needs() {
    for program; do
        command -v "$program" >/dev/null || die "$program is not on the PATH: install PostgreSQL's client programs of the server's version or newer"
    done
}

# service NAME URL DATABASE: a section of libpq's service file, so that no password stands on a command line, where
# every user of the machine could read it. An empty URL leaves everything to libpq's own variables (PGHOST, PGUSER, ...).
service() {
    SECTION=$1 URL=$2 DATABASE=$3 LC_ALL=C awk '
        function number(hex) { return 16 * (index("0123456789abcdef", tolower(substr(hex, 1, 1))) - 1) \
                                         + index("0123456789abcdef", tolower(substr(hex, 2, 1))) - 1 }
        function decoded(text,   out, at) {
            out = ""
            while ((at = index(text, "%")) > 0) {
                out = out substr(text, 1, at - 1) sprintf("%c", number(substr(text, at + 1, 2)))
                text = substr(text, at + 3)
            }
            return out text
        }
        function told(key, value) {
            value = decoded(value)
            if (value ~ /[[:cntrl:]]/) exit 1
            if (value != "") print key "=" value
        }
        BEGIN {
            url = ENVIRON["URL"]
            print "[" ENVIRON["SECTION"] "]"
            told("dbname", ENVIRON["DATABASE"])  # the first that a section says is what counts
            if (url == "") exit 0
            if (!sub(/^postgres(ql)?(\+[a-z0-9]+)?:\/\//, "", url)) exit 1
            if ((at = index(url, "?")) > 0) {
                n = split(substr(url, at + 1), pairs, "&")
                url = substr(url, 1, at - 1)
                for (i = 1; i <= n; i++) {
                    eq = index(pairs[i], "=")
                    told(substr(pairs[i], 1, eq - 1), substr(pairs[i], eq + 1))
                }
            }
            if ((at = index(url, "/")) > 0) {
                told("dbname", substr(url, at + 1))
                url = substr(url, 1, at - 1)
            }
            if ((at = index(url, "@")) > 0) {
                user = substr(url, 1, at - 1)
                url = substr(url, at + 1)
                if ((at = index(user, ":")) > 0) {
                    told("password", substr(user, at + 1))
                    user = substr(user, 1, at - 1)
                }
                told("user", user)
            }
            n = split(url, hosts, ",")
            for (i = 1; i <= n; i++) {
                host = hosts[i]
                port = ""
                if (match(host, /:[0-9]*$/) && (host !~ /^\[/ || host ~ /\]:[0-9]*$/)) {
                    port = substr(host, RSTART + 1)
                    host = substr(host, 1, RSTART - 1)
                }
                gsub(/[][]/, "", host)
                names = names (i > 1 ? "," : "") host
                ports = ports (i > 1 ? "," : "") port
            }
            told("host", names)
            if (ports ~ /[0-9]/) told("port", ports)
        }' >>"$PGSERVICEFILE" || die "the address of the database $1 is not a Postgres URL such as postgresql://user:password@host/name"
}

# Two sections for each database: itself (brs), and the one beside it from which it can be renamed (brs-server).
connections() {
    PGSERVICEFILE=$scratch/services
    export PGSERVICEFILE
    : >"$PGSERVICEFILE"
    for database in brs dagster mlflow; do
        case $database in
        brs) url=${DATABASE_URL:-} name="" ;;
        dagster) url=${BRS_DAGSTER_DATABASE_URL:-} name=${url:+-} ;;
        mlflow) url=${BRS_MLFLOW_DATABASE_URL:-} name=${url:+-} ;;
        esac
        # Those beside it are on the same server under their own names, unless an address of their own says otherwise.
        if [ "$database" = brs ]; then
            [ -n "$url" ] || name=${PGDATABASE:-brs}
        elif [ "$name" = - ]; then
            name=""
        else
            url=${DATABASE_URL:-} name=$database
        fi
        service "$database" "$url" "$name"
        service "$database-server" "$url" postgres
    done
}

# name_of DATABASE: what it is called on its server.
name_of() {
    awk -v section="[$1]" '$0 == section { on = 1; next } /^\[/ { on = 0 } on && sub(/^dbname=/, "") { print; exit }' "$PGSERVICEFILE"
}

# ask SERVICE [psql's options]: a question on standard input, its answer as bare lines.
ask() {
    section=$1
    shift
    psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@" --dbname="service=$section"
}

is_one_of_ours() {
    case $1 in
    brs | dagster | mlflow) ;;
    *) misused "there is no database '$1' (brs, dagster, mlflow)" ;;
    esac
}

sums() {
    if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

# is_empty FOLDER: also when it is not there.
is_empty() {
    [ -z "$(ls -A "$1" 2>/dev/null)" ]
}
