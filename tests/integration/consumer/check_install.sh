#!/bin/sh
# Installs into an empty folder and builds a program from what is there: as C99 and as C++11 with the shared
# library, as C with the static one; every program runs.
#
#   check_install.sh BUILD_FOLDER CONSUMER.C MESON CC CXX
set -eu
build=$1 source=$2 meson=$3 cc=$4 cxx=$5
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

$meson install -C "$build" --no-rebuild --quiet --destdir "$folder/root"
pc=$(find "$folder/root" -name llmcache.pc)
[ -n "$pc" ] || { echo "no llmcache.pc was installed"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
libraries=$(dirname "$PKG_CONFIG_PATH")
# Where the files are now is not where they will be: the root is put before our own paths only.
prefix=$(pkg-config --variable=prefix llmcache)
flags() {
    pkg-config --define-variable=prefix="$folder/root$prefix" "$@" llmcache
}

strict='-Wall -Wextra -Wpedantic -Werror'
$cc -std=c99 $strict "$source" $(flags --cflags --libs) -o "$folder/shared"
LD_LIBRARY_PATH=$libraries "$folder/shared"

if [ -n "$cxx" ]; then
    $cxx -std=c++11 $strict -x c++ "$source" $(flags --cflags --libs) -o "$folder/cxx"
    LD_LIBRARY_PATH=$libraries "$folder/cxx"
fi

# --static would ask for the static form of everything below, which Debian does not have for libcurl.
needed=$(pkg-config --print-requires-private llmcache | sed 's/ .*//')
$cc -std=c99 $strict "$source" $(flags --cflags) "$libraries/libllmcache.a" \
    $(pkg-config --libs $needed) $(sed -n 's/^Libs.private://p' "$pc") -o "$folder/static"
"$folder/static"
! ldd "$folder/static" | grep -q llmcache || { echo "not static"; exit 1; }

version=$(pkg-config --modversion llmcache)
soname=$(readelf -d "$libraries/libllmcache.so.$version" | sed -n 's/.*soname: \[\(.*\)\]/\1/p')
[ "$soname" = libllmcache.so.0 ] || { echo "soname is $soname"; exit 1; }
[ "$(readlink "$libraries/libllmcache.so")" = libllmcache.so.0 ] || { echo "libllmcache.so is no link"; exit 1; }
echo "installed, linked and run"
