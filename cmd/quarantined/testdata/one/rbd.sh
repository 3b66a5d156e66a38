# What OpenNebula's ceph drivers do to RBD, call by call (ceph_utils.sh of
# release 7): sourced by the stand-ins for its scripts tm/ceph/delete and
# datastore/ceph/rm. $RBD is the program with the cloud's key; each call is
# noted in $CALLS.

rbd() {
    echo "$*" >>"$CALLS"
    # shellcheck disable=SC2086 # program and options
    command $RBD "$@"
}

format_of() { rbd info "$1" | sed -n 's/.*format: // p'; }

parent_of() { rbd info "$1" | awk '/parent:/ { print $2 }' | sed 's/@.*//'; }

# top_parent climbs from a disk to the images that its snapshots were reverted
# from, which it knows by their names.
top_parent() {
    own=$(echo "$1" | sed 's/\([^-]*-[0-9]*-[0-9]*-[0-9]*\).*/\1/')
    volume=$1
    while parent=$(parent_of "$volume") && [ -n "$parent" ] && echo "$parent" | grep -q "$own"; do
        volume=$parent
    done
    echo "$volume"
}

# remove removes an image or a snapshot, and before it all that stands on it.
remove() {
    case $1 in
    *@*)
        for child in $(rbd children "$1" 2>/dev/null); do
            (remove "$child")
        done
        rbd snap unprotect "$1"
        rbd snap rm "$1"
        ;;
    *)
        for snapshot in $(rbd snap ls "$1" 2>/dev/null | awk 'NR > 1 { print $2 }'); do
            (remove "$1@$snapshot")
        done
        rbd rm --no-progress "$1"
        ;;
    esac
}

remove_unused_snapshot() {
    if [ "$(format_of "$1")" = 2 ] && rbd info "$1@snap" >/dev/null 2>&1; then
        rbd snap unprotect "$1@snap"
        rbd snap rm "$1@snap"
    fi
}

# destroy IMAGE [SOURCE] is the end of both scripts.
destroy() {
    if [ "$(format_of "$1")" = 2 ]; then
        remove "$(top_parent "$1")" || exit
        if [ -n "$2" ]; then
            remove_unused_snapshot "$2" || :
        fi
    else
        rbd rm --no-progress "$1"
    fi
}
