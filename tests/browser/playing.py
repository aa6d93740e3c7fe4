"""Whether a video element in the page really plays."""

import pytest


def play(video):
    """Play a video element for a moment: what it is, how far it came and how much of the picture changed meanwhile."""
    return video.evaluate(
        """async video => {
            const until = async (met) => { while (!met()) await new Promise(next => setTimeout(next, 50)); };
            await until(() => video.readyState >= 2 || video.error);
            const look = () => {
                const canvas = document.createElement('canvas');
                [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
                const context = canvas.getContext('2d');
                context.drawImage(video, 0, 0);
                return context.getImageData(0, 0, canvas.width, canvas.height).data;
            };
            const before = look();
            video.muted = video.loop = true;
            await video.play();
            await until(() => video.currentTime > 0.15);
            video.pause();
            const after = look();
            let changed = 0, light = 0;
            for (let i = 0; i < after.length; i += 4) {
                if (Math.abs(after[i] - before[i]) > 16) changed++;
                light += after[i];
            }
            return { error: video.error?.message ?? null, duration: video.duration, time: video.currentTime,
                     width: video.videoWidth, height: video.videoHeight, sound: video.webkitAudioDecodedByteCount,
                     changed: 4 * changed / after.length, light: 4 * light / after.length };
        }"""
    )


def check_plays(video, seconds, size):
    seen = play(video)
    assert seen["error"] is None
    assert seen["duration"] == pytest.approx(seconds, abs=0.06)
    assert (seen["width"], seen["height"]) == size
    assert seen["time"] > 0.15
    assert seen["changed"] > 0.002, "a still picture"
    assert seen["light"] > 20, "a black picture"
    assert seen["sound"] > 0
