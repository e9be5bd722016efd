#!/bin/bash
# The demo pipeline with the plain tools and two processes: nothing is checked, nothing is tried
# again. It is the baseline for speed that a run under lofargrid is compared with.
#
# usage: plain.sh DATA_DIR OUT_DIR
# DATA_DIR is what lofargrid.demo.make_demo_data wrote with one SAP and no gaps.
# Needs DP3, H5parm_collector.py and wsclean on PATH.
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: $0 DATA_DIR OUT_DIR" >&2
    exit 64
fi
data=$(realpath "$1")
mkdir -p "$2"
cd "$2"
# DP3 refuses to run with OpenBLAS threads.
export data OPENBLAS_NUM_THREADS=1
# DP3 looks up the telescope in casacore's measures data and the flagging strategy in a folder that
# its wheel spells differently. Take both from the wheels unless the caller has others.
wheels=$(python3 -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
export strategy=${AOFLAGGER_STRATEGY:-$wheels/DP3.libs/aoflagger/strategies/lofar-default.lua}
if [ -z "${CASARCFILES:-}" ]; then
    echo "measures.directory: $wheels/casacore/data" >casarc
    export CASARCFILES=$PWD/casarc
fi

cal1() { # SUBBAND
    tar xf "$data"/L900001_SAP000_SB"$1"_uv.MS_*.tar
    DP3 checkparset=1 numthreads=1 \
        msin="L900001_SAP000_SB$1_uv.MS" msout="cal1_SB$1.MS" msout.overwrite=true \
        'steps=[aoflag,avg,gaincal]' \
        aoflag.type=aoflagger aoflag.strategy="$strategy" \
        avg.type=averager avg.timestep=2 avg.freqstep=2 \
        gaincal.caltype=diagonal gaincal.sourcedb="$data/calibrator.skymodel" \
        gaincal.parmdb="cal1_SB$1.h5" gaincal.solint=0 \
        gaincal.maxiter=200 gaincal.tolerance=1e-6 >"cal1_SB$1.log" 2>&1
}

targ1() { # SUBBAND
    tar xf "$data"/L900002_SAP000_SB"$1"_uv.MS_*.tar
    DP3 checkparset=1 numthreads=1 \
        msin="L900002_SAP000_SB$1_uv.MS" msout="targ1_SB$1.MS" msout.overwrite=true \
        'steps=[aoflag,acal,avg,gaincal]' \
        aoflag.type=aoflagger aoflag.strategy="$strategy" \
        acal.type=applycal acal.parmdb=cal2.h5 'acal.steps=[amp,phase]' \
        acal.amp.correction=amplitude000 acal.phase.correction=phase000 \
        avg.type=averager avg.timestep=2 avg.freqstep=2 \
        gaincal.caltype=phaseonly gaincal.sourcedb="$data/target.skymodel" \
        gaincal.parmdb="targ1_SB$1.h5" gaincal.solint=1 \
        gaincal.applysolution=true >"targ1_SB$1.log" 2>&1
}

targ2() { # GROUP SUBBAND...
    local group=$1
    shift
    local sets solutions
    sets=$(printf ',targ1_SB%s.MS' "$@")
    mapfile -t solutions < <(printf 'targ1_SB%s.h5\n' "$@")
    DP3 checkparset=1 numthreads=1 \
        msin="[${sets#,}]" msin.orderms=true msin.missingdata=true \
        msout="L900002_GRP$group.MS" msout.overwrite=true \
        'steps=[]' >"targ2_GRP$group.log" 2>&1
    H5parm_collector.py --clobber --outh5parm "targ2_GRP$group.h5" \
        "${solutions[@]}" >"phases_GRP$group.log" 2>&1
    DP3 checkparset=1 numthreads=1 \
        msin="L900002_GRP$group.MS" msout="L900002_GRP${group}_sub.MS" msout.overwrite=true \
        'steps=[predict]' predict.sourcedb="$data/target.skymodel" \
        predict.operation=subtract >"subtract_GRP$group.log" 2>&1
}

image() { # NAME MS...
    local name=$1
    shift
    wsclean -j 1 -size 2048 2048 -scale 0.5asec -weight briggs 0 -pol I \
        -no-update-model-required -niter 20000 -gain 0.05 -mgain 0.7 -auto-mask 3 -auto-threshold 0.3 \
        -name "$name" "$@" >"image_$name.log" 2>&1
}
export -f cal1 targ1 targ2 image

# Numbers of the subbands of an observation, in the order of frequency.
subbands() { # SAS_ID
    local tar
    for tar in "$data"/L"$1"_SAP000_SB*.tar; do
        tar=${tar##*_SB}
        echo "${tar%%_*}"
    done
}

subbands 900001 | xargs -P2 -I{} bash -euo pipefail -c 'cal1 {}'
H5parm_collector.py --clobber --outh5parm cal2.h5 cal1_SB*.h5 >cal2.log 2>&1
subbands 900002 | xargs -P2 -I{} bash -euo pipefail -c 'targ1 {}'
# Subband 0 has an absolute number that is a multiple of 4, so that four in a row are a group.
subbands 900002 | xargs -n4 | awk '{printf "%02d %s\n", NR - 1, $0}' |
    xargs -P2 -L1 bash -euo pipefail -c 'targ2 "$@"' targ2
printf '%s\n' "full L900002_GRP??.MS" "residual L900002_GRP??_sub.MS" |
    xargs -P2 -I{} bash -euo pipefail -c 'image {}'
