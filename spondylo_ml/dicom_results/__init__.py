"""Results of a film as DICOM objects of the film's study: a Structured Report and a Secondary Capture.

They carry the patient's identity, as the film does, so that a hospital's archive files them beside it. Written by
highdicom, which only this package imports.
"""
