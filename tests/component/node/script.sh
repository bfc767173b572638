#!/bin/sh
echo "script of $COVEY_FLARE_ID $COVEY_RANK"
[ "$COVEY_RANK" = 0 ] || exit 4
